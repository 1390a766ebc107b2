"""History out of a real Prometheus into `metrics`, and into the models of a target."""

import math
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.backfill import MOST_POINTS, BackfillError, backfill, query_range, seconds
from streams.embedded import EmbeddedBroker, free_port, spawn
from streams.ingest import Decoder, Limits, SeriesIndex
from streams.tail import tail
from tests.deploy.conftest import program
from tests.streams.records import FakeRecord

START_S = 1_700_000_000 - 1_700_000_000 % 60
ROWS = 400


def _load(row: int) -> float:
    return round(100.0 + 50.0 * math.sin(row / 40.0), 3)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that remembers two services' loads, one of them with a gap."""
    folder = tmp_path_factory.mktemp("prometheus")
    lines = ["# TYPE rps gauge"]
    for service, factor in (("shop", 1.0), ("blog", 0.1)):
        for row in range(ROWS):
            if service == "shop" or not 100 <= row < 120:
                value = _load(row) * factor
                lines.append(f'rps{{service="{service}"}} {value} {START_S + 60 * row}')
    (folder / "history.om").write_text("\n".join([*lines, "# EOF"]) + "\n")
    promtool = [program("promtool"), "tsdb", "create-blocks-from", "openmetrics"]
    subprocess.run([*promtool, "history.om", "data"], cwd=folder, check=True, capture_output=True)
    (folder / "prometheus.yml").write_text("global: {}\n")
    port = free_port()
    command = [
        program("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
        "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = spawn(command, log=log, cwd=folder)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(address, folder / "log")
        yield address
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_ready(address: str, log: Path) -> None:
    deadline = time.monotonic() + 30.0
    while time.monotonic() < deadline:
        try:
            if httpx.get(f"{address}/-/ready").status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"Prometheus is not ready: {log.read_text()[-2000:]}")


@pytest.fixture
async def connection(embedded_broker: EmbeddedBroker) -> dict[str, Any]:
    settings = {"bootstrap_servers": embedded_broker.address}
    admin = AIOKafkaAdminClient(**settings)
    await admin.start()
    await admin.create_topics([NewTopic("metrics", 1, 1)])
    await admin.close()
    return settings


async def test_history_arrives_as_samples_of_the_series(prometheus: str, connection: dict[str, Any]) -> None:
    end_s = START_S + 60.0 * (ROWS - 1)
    series, samples = await backfill(
        "rps", prometheus=prometheus, end_s=end_s, span_s=end_s - START_S, step_s=60.0, metric="",
        connection=connection, topic="metrics",
    )  # fmt: skip
    assert series == 2
    # Prometheus carries a value on for five minutes: most of the 20 lost ones stay lost.
    assert 2 * ROWS - 16 <= samples <= 2 * ROWS - 15
    records = [
        FakeRecord(record.value, offset)
        for offset, record in enumerate(
            [each async for each in tail("metrics", connection=connection, last=None, follow=False)]
        )
    ]
    index = SeriesIndex()
    decoded = Decoder(index, Limits()).decode(records, now_ms=round(end_s * 1000))
    assert not decoded.rejects
    columns = decoded.columns
    shop = [row for row in range(2) if index.labels(row) == {"service": "shop"}]
    mine = columns.row == shop[0]
    assert columns.time[mine].tolist() == [1000 * (START_S + 60 * row) for row in range(ROWS)]
    assert columns.value[mine].tolist() == [_load(row) for row in range(ROWS)]


async def test_a_long_range_is_asked_for_in_parts(prometheus: str) -> None:
    async with httpx.AsyncClient(base_url=prometheus) as client:
        (found,) = await query_range(
            client, "sum(rps{service='shop'})", start_s=START_S, end_s=START_S + 12_000.0, step_s=1.0,
            metric="shop_rps",
        )  # fmt: skip
    assert len(found.trace.times) == 12_001 > MOST_POINTS
    assert (found.trace.times[1:] - found.trace.times[:-1] == 1_000).all()
    assert found.series.metric == "shop_rps"
    assert found.series.labels == {}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sum(rps)", "--metric"),
        ("sum(", r"refused 'sum\('.*parse error"),
    ],
)
async def test_queries_that_give_nothing_to_use_say_why(prometheus: str, query: str, words: str) -> None:
    async with httpx.AsyncClient(base_url=prometheus) as client:
        with pytest.raises(BackfillError, match=words):
            await query_range(client, query, start_s=START_S, end_s=START_S + 600.0, step_s=60.0)


async def test_nothing_known_and_nobody_there(prometheus: str) -> None:
    ask = {"end_s": START_S + 60.0, "span_s": 60.0, "step_s": 60.0, "metric": "", "connection": {}}
    with pytest.raises(BackfillError, match="knows no series for 'nothing'"):
        await backfill("nothing", prometheus=prometheus, topic="metrics", **ask)
    with pytest.raises(BackfillError, match="is Prometheus there"):
        await backfill("rps", prometheus=f"http://127.0.0.1:{free_port()}", topic="metrics", **ask)


@pytest.mark.parametrize("text", ["7", "d", "-1d", "0s", "1y"])
def test_durations_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(BackfillError, match="such as 7d"):
        seconds(text)
