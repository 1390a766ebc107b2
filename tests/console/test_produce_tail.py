"""Producing a file and looking at topics, on the embedded broker."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas import (
    Deployment,
    Feedback,
    KnownEvent,
    MaintenanceWindow,
    Place,
    Promote,
    Rollback,
    SetTraffic,
    Signal,
    encode,
)
from streams.embedded import EmbeddedBroker
from streams.ingest import Decoder, Limits, SeriesIndex
from streams.output import Output
from streams.produce import ProduceError, Series, produce
from streams.tail import TailError, line, tail
from streams.traces import TraceError
from tests.console.messages import T0, alert, anomaly, dead, forecast, outcome, scale
from tests.streams.records import FakeRecord

SERIES = Series("rps", {"service": "checkout"})


@pytest.fixture
async def connection(embedded_broker: EmbeddedBroker) -> dict[str, Any]:
    settings = {"bootstrap_servers": embedded_broker.address}
    admin = AIOKafkaAdminClient(**settings)
    await admin.start()
    await admin.create_topics([NewTopic("metrics", 3, 1), NewTopic("alerts", 2, 1)])
    await admin.close()
    return settings


@pytest.fixture
def csv(tmp_path: Path) -> Callable[[int], Path]:
    def write(rows: int) -> Path:
        path = tmp_path / "load.csv"
        lines = [f"{T0 // 1000 + 60 * row},{row if row % 10 else ''}\n" for row in range(rows)]
        path.write_text("time,value\n" + "".join(lines))
        return path

    return write


async def read_all(connection: dict[str, Any], topic: str) -> list[Any]:
    return [record async for record in tail(topic, connection=connection, last=None, follow=False)]


async def test_a_file_becomes_samples_that_the_ingest_reads(
    connection: dict[str, Any], csv: Callable[[int], Path]
) -> None:
    told: list[tuple[int, int]] = []
    produced = await produce(
        csv(250),
        connection=connection,
        series=SERIES,
        progress=lambda done, total: told.append((done, total)),
    )
    assert (produced.records, produced.samples) == (3, 250)
    assert told[-1] == (250, 250)
    records = await read_all(connection, "metrics")
    assert len({record.partition for record in records}) == 1
    index = SeriesIndex()
    batch = Decoder(index, Limits()).decode(records, T0 + 86_400_000)
    assert batch.rejects == []
    assert index.key(0) == 'rps{service="checkout"}'
    assert batch.dropped == {"missing": 25}
    assert batch.columns.time[:2].tolist() == [T0 + 60_000, T0 + 120_000]
    assert batch.columns.value[:2].tolist() == [1.0, 2.0]


async def test_at_a_pace_each_record_waits_for_its_time(
    connection: dict[str, Any], csv: Callable[[int], Path]
) -> None:
    clock = [100.0]
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        clock[0] += seconds

    produced = await produce(
        csv(10), connection=connection, series=SERIES, speed=60.0, sleep=sleep, monotonic=lambda: clock[0]
    )
    assert (produced.records, produced.samples) == (10, 10)  # a minute is a second: none go out together
    assert waits == pytest.approx([1.0] * 9)
    fast = await produce(
        csv(10), connection=connection, series=SERIES, speed=6000.0, sleep=sleep, monotonic=lambda: clock[0]
    )
    assert fast.samples == 10
    assert fast.records < 10


@pytest.mark.parametrize("move", [{"start": 5_000_000}, {"end": 5_120_000}])
async def test_times_can_be_moved_to_begin_or_to_end_now(
    connection: dict[str, Any], csv: Callable[[int], Path], move: dict[str, int]
) -> None:
    await produce(csv(3), connection=connection, series=SERIES, **move)
    (record,) = await read_all(connection, "metrics")
    assert [sample["ts"] for sample in json.loads(record.value)] == [5_000_000, 5_060_000, 5_120_000]


async def test_what_cannot_be_produced_says_why(
    connection: dict[str, Any], csv: Callable[[int], Path], tmp_path: Path
) -> None:
    with pytest.raises(ProduceError, match=r"no topic metricz .*there: alerts, metrics"):
        await produce(csv(1), connection=connection, series=SERIES, topic="metricz")
    with pytest.raises(ProduceError, match="speed -1"):
        await produce(csv(1), connection=connection, series=SERIES, speed=-1)
    with pytest.raises(ProduceError, match="not both"):
        await produce(csv(1), connection=connection, series=SERIES, start=1, end=1)
    with pytest.raises(ProduceError, match="0 samples"):
        await produce(csv(1), connection=connection, series=SERIES, batch=0)
    with pytest.raises(TraceError, match="absent"):
        await produce(tmp_path / "absent.csv", connection=connection, series=SERIES)


async def test_tail_shows_the_last_of_each_partition_and_follows(connection: dict[str, Any]) -> None:
    async with AIOKafkaProducer(**connection) as producer:
        for number in range(6):
            await producer.send_and_wait("alerts", alert(anomalies=number).value, partition=number % 2)
        seen: list[int] = []
        async for record in tail("alerts", connection=connection, last=1):
            seen.append(json.loads(record.value)["anomalies"])
            if len(seen) == 2:
                await producer.send_and_wait("alerts", alert(anomalies=77).value, partition=0)
            if len(seen) == 3:
                break
    assert sorted(seen[:2]) == [4, 5]
    assert seen[2] == 77


async def test_tail_of_an_unknown_topic_names_the_known_ones(connection: dict[str, Any]) -> None:
    with pytest.raises(TailError, match=r"no topic alert .*there: alerts, metrics"):
        async for _ in tail("alert", connection=connection):
            pass


async def test_tail_of_an_empty_topic_ends(connection: dict[str, Any]) -> None:
    assert await read_all(connection, "alerts") == []


def told(value: bytes | None, key: bytes | None = None) -> str:
    return line(FakeRecord(value, 0, timestamp=T0, key=key))  # type: ignore[arg-type]


def message(made: Output | msgspec.Struct) -> str:
    return told(made.value if isinstance(made, Output) else encode(made))


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (anomaly(), 'anomaly  rps{service="checkout"} is 91.5, expected 40 (30 to 52); level ×3.2'),
        (anomaly(expected=None, lower=None, upper=None, evidence=[]), "expected nothing yet; no evidence"),
        (alert(suppressed="silence"), "firing  warning: rps is 91.5, expected about 40 [held back: silence]"),
        (forecast(), "forecast  checkout: now 40; in 120 s 34 at 0.1, 42 at 0.5, 55 at 0.99; by peak"),
        (forecast(horizons_ms=[], values=[]), "forecast  checkout: now 40"),
        (scale(7, 5), "command  checkout: scale 5 → 7, because load in 2 min is at most 55 at 99 %; 55 /"),
        (scale(action=Rollback(release="v2", to="v1")), "roll v2 back to v1, because"),
        (scale(action=Promote(release="v2")), "promote v2, because"),
        (scale(action=SetTraffic(release="v2", percent=5.0)), "give v2 5 % of traffic, because"),
        (scale(action=Place(job="j", node="n", start_at=T0)), "place j on n at 2023-11-14 22:13:20, because"),
        (outcome(), "executed  checkout: scale, scaled from 5 to 7"),
        (dead(), "refused  metrics[2] offset 41: $.value: expected a number, found text"),
        (Deployment(target="a", release="v2", ts=T0, previous="v1", canary_percent=5), "after v1 with 5 %"),
        (MaintenanceWindow(id="1", starts_at=T0, ends_at=T0 + 1_000, reason="disk"), "everything until 20"),
        (
            KnownEvent(target="shop", id="s", starts_at=T0, ends_at=T0, factor=3.0, reason="a sale"),
            "known event  shop times 3 until 2023-11-14 22:13:20: a sale",
        ),
        (Feedback(series="up", ts=T0, verdict="false-alarm", by="ann"), "false-alarm  up, says ann"),
        (
            Signal(target="a", series="up", role="load", arm=None, times=[T0], values=[3.5], source=0),
            "signal  a: load, 1 of up, newest 3.5",
        ),
    ],
)  # fmt: skip
def test_messages_are_told_in_words(made: Output | msgspec.Struct, words: str) -> None:
    assert words in message(made)
    assert message(made).startswith("2023-11-14 22:13:20  ")


def test_other_records_are_shown_as_they_are() -> None:
    assert told(b'[ {"metric": "up",\n "value": 1} ]').endswith('  [{"metric":"up","value":1}]')
    assert told(b"\xff not json").endswith("  \\xff not json")
    assert told(None, b"00ff").endswith("00ff: deleted")
    assert len(told(b"x" * 10_000)) < 450


def test_control_characters_do_not_reach_the_terminal() -> None:
    shown = message(dead(reason="\x1b[2J\x07\u202egone\nnext"))
    assert shown.isprintable()
    assert "\\x1b[2J" in shown
