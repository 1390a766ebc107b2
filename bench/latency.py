"""Time from a sample's production to its anomaly at a subscriber, at half the highest sustained rate.

`tidegate bench latency [--quick] [--json FILE]`. A producer in another process sends one-sample records at
half of what the worker reached on such a topic just before; some samples are far off. Latency is that of each
anomaly: from the moment its record was handed to the producer to the moment the anomaly was in the hands of a
subscriber. Beside it: a record through the same Kafka and back, at the same time, with no worker.
"""

import asyncio
import os
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from bench.lab import BenchError, Machine, Process, Topics, engine, measured
from bench.limit import PARTITIONS, create_topic
from bench.load import Load
from bench.runs import filled, run
from schemas import Anomaly, decode
from tests.kafka.broker import running

PING_S = 0.02
SETTLED = 0.2  # share of the time after which latencies count: models have learnt by then


@dataclass(frozen=True)
class Size:
    """How much is measured: `series`, `steps` of them for the highest rate, `seconds` at half of it.

    `rate`, in records/s, is taken for the highest where it is given.
    """

    series: int = 10_000
    steps: int = 1000
    seconds: float = 40.0
    repeats: int = 3
    spikes: float = 1e-4
    rate: float | None = None
    least_anomalies: int = 200


QUICK = Size(steps=300, seconds=20.0, repeats=1)


@dataclass(frozen=True)
class Latency:
    """Milliseconds of `count` messages."""

    count: int
    p50: float
    p90: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: list[float]) -> "Latency":
        """The figures of measured times."""
        p50, p90, p99, most = (float(each) for each in np.quantile(seconds, (0.5, 0.9, 0.99, 1.0)) * 1000)
        return cls(len(seconds), round(p50, 1), round(p90, 1), round(p99, 1), round(most, 1))


def measure(size: Size) -> dict[str, Any]:
    """Latency figures; of repeated runs that with the median p99.

    Raises:
        BenchError: the worker failed, or too few anomalies came to tell a p99.
        KafkaUnavailableError: no Apache Kafka can be had here.
    """
    machine = Machine.now()
    with running() as address:
        highest = size.rate or _highest(address, size)
        runs = [_once(address, size, highest / 2) for _ in range(size.repeats)]
    middle = sorted(runs, key=lambda each: each["produce_to_anomaly_ms"]["p99"])[len(runs) // 2]
    return {
        "highest_records_per_s": round(highest),
        **middle,
        "p99_ms": middle["produce_to_anomaly_ms"]["p99"],
        "p99_ms_of_runs": [each["produce_to_anomaly_ms"]["p99"] for each in runs],
        "series": size.series,
        "seconds": size.seconds,
        "machine": machine.after(),
    }


def _highest(address: str, size: Size) -> float:
    samples = Load(size.series)
    topics = filled(address, samples, size.steps)
    return statistics.median(run(topics, samples, size.steps).samples_per_s for _ in range(size.repeats))


def _once(address: str, size: Size, rate: float) -> dict[str, Any]:
    topics = Topics.create(address)
    with TemporaryDirectory() as folder, measured(engine(topics.config(Path(folder)))) as worker:
        worker.until("restored")
        return asyncio.run(_watch(topics, size, rate))


async def _watch(topics: Topics, size: Size, rate: float) -> dict[str, Any]:
    """Feed and subscribe at the same time."""
    feed = [sys.executable, "-m", "bench.feed", topics.address, topics.metrics]
    numbers = [str(size.series), str(rate), str(size.seconds), str(size.spikes)]
    found: list[tuple[float, float]] = []  # moment produced, seconds taken
    pings: list[tuple[float, float]] = []
    process = Process([*feed, *numbers])
    try:
        began = (await asyncio.to_thread(process.until, "began"))["at"]
        tasks = [
            asyncio.create_task(_anomalies(topics, found)),
            asyncio.create_task(_ping(topics, pings)),
        ]
        ended = await asyncio.to_thread(process.until, "ended", size.seconds + 60)
        await asyncio.sleep(1.0)  # anomalies of the last samples
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        process.kill()
    first = began + SETTLED * size.seconds
    kept = [took for at, took in found if first < at < ended["at"]]
    if len(kept) < size.least_anomalies:
        raise BenchError(f"{len(kept)} anomalies came, expected at least {size.least_anomalies}")
    return {
        "asked_records_per_s": round(rate),
        "records_per_s": round(ended["rate"]),
        "produce_to_anomaly_ms": asdict(Latency.of(kept)),
        "kafka_alone_ms": asdict(Latency.of([took for at, took in pings if first < at < ended["at"]])),
    }


async def _anomalies(topics: Topics, found: list[tuple[float, float]]) -> None:
    """Note when each anomaly's record was produced and how long it took to come here."""
    async with _subscriber(topics.address, f"{topics.prefix}anomalies", PARTITIONS) as consumer:
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                now = time.time()
                for record in records:
                    produced = decode(record.value, Anomaly).produced_at / 1000
                    found.append((produced, now - produced))


async def _ping(topics: Topics, pings: list[tuple[float, float]]) -> None:
    """Send a record to a topic now and then, and note how long it took to come back."""
    topic = f"ping-{os.urandom(3).hex()}"
    await create_topic(topics.address, topic, partitions=1)
    async with (
        AIOKafkaProducer(bootstrap_servers=topics.address, acks="all") as producer,
        _subscriber(topics.address, topic, 1) as consumer,
    ):
        while True:
            sent = time.time()
            await producer.send(topic, b"ping")
            await consumer.getone()
            pings.append((sent, time.time() - sent))
            await asyncio.sleep(PING_S)


def _subscriber(address: str, topic: str, partitions: int) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address, auto_offset_reset="earliest", enable_auto_commit=False
    )
    consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
    return consumer
