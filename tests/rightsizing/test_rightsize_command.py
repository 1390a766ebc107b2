"""`tidegate rightsize`: files as they come, the topic, and the shared usage."""

import asyncio
import csv
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import msgspec
import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from bench.rightsizing import fits, machines, ratios
from planners.rightsizing import SizingPolicy
from streams.embedded import EmbeddedBroker
from streams.rightsize import COLUMNS, Sizing, replay
from streams.traces import TraceError
from streams.usage_csv import Columns, read_usage

T0 = 1_700_000_000_000
PYTHON = [sys.executable, "-m", "streams"]


def _usage(path: Path, days: int = 4) -> Path:
    rng = np.random.default_rng(5)
    rows = [
        f"{name},{1_700_000_000 + 300 * step},{level * (1 + 0.1 * rng.random()):.4f}"
        for step in range(288 * days)
        for name, level in (("web", 0.5), ("db", 4.0))
    ]
    path.write_text("pod,time,cores\n" + "\n".join(rows) + "\n")
    return path


def test_requests_are_written_where_they_change_and_the_table_says_what_to_ask_for(tmp_path: Path) -> None:
    out = tmp_path / "requests.csv"
    done = subprocess.run(
        [*PYTHON, "rightsize", str(_usage(tmp_path / "usage.csv")), "--out", str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "of those of the VPA's rule" in done.stdout
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    last = {row["container"]: float(row["request"]) for row in rows}
    assert 0.5 < last["web"] <= 0.55
    assert 4.0 < last["db"] <= 4.4
    assert len(rows) < 100


def test_a_request_does_not_look_ahead(tmp_path: Path) -> None:
    rows = list(read_usage(_usage(tmp_path / "usage.csv"), Columns()))
    whole, half = tmp_path / "whole.csv", tmp_path / "half.csv"
    replay(rows, whole, Sizing())
    replay(rows[: len(rows) // 2], half, Sizing())
    assert whole.read_text().startswith(half.read_text())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "expected a header row"),
        ("a\n1\n", "expected a header row"),
        ("pod,time,cores\nweb,soon,1\n", "line 2: time 'soon'"),
        ("pod,time,cores\nweb,0,many\n", "line 2: value 'many'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_place(
    tmp_path: Path, content: str, told: str
) -> None:
    path = tmp_path / "usage.csv"
    path.write_text(content)
    with pytest.raises(TraceError) as raised:
        list(read_usage(path, Columns()))
    assert told in str(raised.value)
    assert str(path) in str(raised.value)


def test_a_kill_for_memory_raises_the_request_at_once(tmp_path: Path) -> None:
    path = tmp_path / "memory.csv"
    rows = [f"{300 * step},{300 * 2**20},0" for step in range(100)]
    rows.append(f"{300 * 100},{512 * 2**20},1")
    path.write_text("ts,bytes,oom\n" + "\n".join(rows) + "\n")
    (sized,) = replay(read_usage(path, Columns()), None, Sizing("memory")).containers
    assert sized.container == "memory"
    assert sized.request is not None
    assert sized.request.value >= 612 * 2**20


async def test_usage_is_read_from_the_topic_too(embedded_broker: EmbeddedBroker, tmp_path: Path) -> None:
    connection = {"bootstrap_servers": embedded_broker.address}
    async with AIOKafkaProducer(**connection) as producer:
        for pod, cores in (("a", 2.0), ("b", 3.0)):
            batch = [
                {"metric": metric, "labels": {"pod": pod}, "ts": T0 + 60_000 * step, "value": value}
                for step in range(100)
                for metric, value in (("cpu", cores), ("rps", 900.0))
            ]
            await producer.send_and_wait("metrics", msgspec.json.encode(batch), key=pod.encode())
    config = tmp_path / "tidegate.toml"
    config.write_text(f'[kafka]\nbrokers = ["{embedded_broker.address}"]\n')
    done = await asyncio.create_subprocess_exec(
        *PYTHON, "rightsize", "--metric", "cpu", "-c", str(config), stdout=PIPE, stderr=PIPE
    )
    told, wrong = await done.communicate()
    assert done.returncode == 0, wrong.decode()
    lines = [line.split() for line in told.decode().splitlines() if line.startswith("cpu{")]
    assert {line[0]: (line[1], line[2]) for line in lines} == {
        'cpu{pod="a"}': ("100", "2"),
        'cpu{pod="b"}': ("100", "3"),
    }


@pytest.mark.slow
def test_on_the_shared_usage_a_fifth_less_slack_at_no_more_shortage(shared_data: Path) -> None:
    rows = machines(shared_data / "data" / "usage" / "bitbrains-usage.csv.gz")
    found = ratios(list(fits(rows, SizingPolicy()).values()))
    assert found["slack"] <= 0.8
    assert found["shortage"] <= 1.0
    assert found["changes_a_day"] <= found["vpa_changes_a_day"]
