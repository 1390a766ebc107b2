"""`tidegate produce`: write a recorded series to `metrics`, at once or at the pace it was recorded."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from schemas import series_key
from streams.traces import Trace, read_trace

PACE_S = 0.1  # at a pace, what falls into so long goes out together
IN_FLIGHT = 1_000  # records that may be on their way to the broker


class ProduceError(RuntimeError):
    """Nothing can be produced; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Series:
    """What the samples of a file belong to."""

    metric: str
    labels: Mapping[str, str]

    @property
    def key(self) -> bytes:
        """The record key: with one key, all samples of a series go to one partition, in order."""
        return series_key(self.metric, self.labels).encode()


@dataclass(frozen=True, slots=True)
class Produced:
    """What was written, all acknowledged by the brokers."""

    records: int
    samples: int


async def produce(
    path: Path,
    *,
    connection: Mapping[str, Any],
    series: Series,
    topic: str = "metrics",
    speed: float | None = None,
    start: int | None = None,
    end: int | None = None,
    batch: int = 100,
    progress: Callable[[int, int], None] = lambda done, total: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Produced:
    """Write the time and value columns of the CSV at `path` to `topic` as native JSON.

    A record holds up to `batch` samples. `speed` is event time over wall time (60: an hour in a minute);
    None writes without waiting. `start` moves the first sample to that Unix ms, `end` the newest, and the
    others with it. `connection` are aiokafka's keyword arguments; `progress` gets samples written and in all.

    Raises:
        TraceError: the file cannot be used.
        ProduceError: there is no such topic, or an argument makes no sense.
        KafkaError: the brokers cannot be reached or refuse a record.
    """
    if start is not None and end is not None:
        raise ProduceError("the series can be moved to begin or to end at a time, not both")
    return await write(
        _moved(read_trace(path), start, end), connection=connection, series=series, topic=topic,
        speed=speed, batch=batch, progress=progress, sleep=sleep, monotonic=monotonic,
    )  # fmt: skip


async def write(
    trace: Trace,
    *,
    connection: Mapping[str, Any],
    series: Series,
    topic: str = "metrics",
    speed: float | None = None,
    batch: int = 100,
    progress: Callable[[int, int], None] = lambda done, total: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Produced:
    """Write a recorded series that is in memory; see `produce`.

    Raises:
        ProduceError: there is no such topic, or an argument makes no sense.
        KafkaError: the brokers cannot be reached or refuse a record.
    """
    if batch < 1:
        raise ProduceError(f"a record of {batch} samples makes no sense: expected one or more")
    if speed is not None and not (speed > 0 and math.isfinite(speed)):
        raise ProduceError(f"speed {speed} makes no sense: expected a positive number, 1 for as recorded")
    await _check_topic(connection, topic)
    records = 0
    done = 0
    async with AIOKafkaProducer(**connection, acks="all", compression_type="lz4", linger_ms=5) as producer:
        waiting: list[Awaitable[Any]] = []
        began = monotonic()
        for first, last in _ranges(trace, batch, speed):
            if speed is not None:
                due = began + float(trace.times[first] - trace.times[0]) / 1_000 / speed
                if (ahead := due - monotonic()) > 0:
                    await asyncio.gather(*waiting)
                    waiting.clear()
                    progress(done, len(trace.times))
                    await sleep(ahead)
            waiting.append(await producer.send(topic, _record(trace, first, last, series), key=series.key))
            records += 1
            done = last
            if len(waiting) >= IN_FLIGHT:
                await asyncio.gather(*waiting)
                waiting.clear()
                progress(done, len(trace.times))
        await asyncio.gather(*waiting)
    progress(done, len(trace.times))
    return Produced(records, done)


def _moved(trace: Trace, start: int | None, end: int | None) -> Trace:
    times = trace.times
    if start is not None and len(times):
        times = times - times[0] + start
    if end is not None and len(times):
        times = times - times.max() + end
    return trace._replace(times=times)


def _ranges(trace: Trace, batch: int, speed: float | None) -> Iterator[tuple[int, int]]:
    """First and last (exclusive) row of each record; at a pace, a record spans at most `PACE_S`."""
    first = 0
    rows = len(trace.times)
    while first < rows:
        last = min(first + batch, rows)
        if speed is not None:
            span = PACE_S * 1_000 * speed
            while last > first + 1 and trace.times[last - 1] - trace.times[first] > span:
                last -= 1
        yield first, last
        first = last


def _record(trace: Trace, first: int, last: int, series: Series) -> bytes:
    labels = dict(series.labels)
    samples: Sequence[dict[str, Any]] = [
        {
            "metric": series.metric,
            "labels": labels,
            "ts": int(trace.times[row]),
            "value": None if math.isnan(trace.values[row]) else float(trace.values[row]),
        }
        for row in range(first, last)
    ]
    return msgspec.json.encode(samples)


async def _check_topic(connection: Mapping[str, Any], topic: str) -> None:
    # A producer would wait for the topic until its timeout, and then say only that time has passed.
    admin = AIOKafkaAdminClient(**connection)
    await admin.start()
    try:
        topics = await admin.list_topics()
    finally:
        await admin.close()
    if topic not in topics:
        known = ", ".join(sorted(name for name in topics if not name.startswith("__"))) or "none"
        raise ProduceError(
            f"there is no topic {topic} at {connection['bootstrap_servers']} (there: {known}); "
            "a worker makes it when it starts"
        )
