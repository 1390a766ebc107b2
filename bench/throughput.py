"""Throughput of one worker on a real Apache Kafka, beside aiokafka's getmany and msgspec alone, and peers.

`tidegate bench throughput [--quick] [--json FILE]`. The worker scores every sample with the default detector,
writes anomalies, and makes its state durable in the changelog.
"""

import asyncio
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench import two_workers
from bench.lab import Machine
from bench.limit import limit
from bench.load import Load
from bench.peers.rates import ALL, Peers, by_kafka_streams, by_python
from bench.runs import Run, filled, run
from tests.kafka.broker import running

PER_RECORD = 100


@dataclass(frozen=True)
class Size:
    """How much is measured. Steps are samples of each series.

    `growth` has numbers of series and their steps, beside the `series` of the main figure.
    """

    series: int = 1000
    steps: int = 10_000
    repeats: int = 3
    limit_records: int = 1_000_000
    java_records: int = 2_000_000
    slow_series: int = 100
    slow_steps: int = 150
    batched_series: int = 10_000
    batched_steps: int = 1_000
    growth: tuple[tuple[int, int], ...] = ((100_000, 120), (1_000_000, 12))
    workers_steps: int = 10_000
    peers: tuple[str, ...] = ALL


QUICK = Size(
    steps=3000, repeats=1, java_records=1_000_000, slow_steps=50, batched_steps=300,
    growth=((100_000, 40),), workers_steps=5000,
)  # fmt: skip


def measure(size: Size) -> dict[str, Any]:
    """All figures of throughput, medians of repeated runs.

    Raises:
        BenchError: a worker failed.
        KafkaUnavailableError: no Apache Kafka can be had here.
    """
    machine, peers = Machine.now(), Peers()
    limits: list[float] = []
    runs: list[Run] = []
    with running() as address:
        samples = Load(size.series)
        topics = filled(address, samples, size.steps)
        for _ in range(size.repeats):  # by turns, so that all see the same machine
            limits.append(asyncio.run(limit(address, topics.metrics, size.limit_records)).per_s)
            runs.append(run(topics, samples, size.steps))
            by_kafka_streams(peers, size.peers, address, topics.metrics, size.java_records)
        by_python(peers, size.peers, address, size.slow_series, size.slow_steps)
        batched = _batched(address, size)
        growth = {size.series: runs} | {
            series: [_many(address, series, steps)] for series, steps in size.growth
        }
        workers = two_workers.measure(address, samples, size.workers_steps) if size.workers_steps else {}
    ours, alone = statistics.median(r.samples_per_s for r in runs), statistics.median(limits)
    return {
        "records": size.series * size.steps,
        "series": size.series,
        "records_per_s": round(ours),
        "limit_records_per_s": round(alone),
        "share_of_limit": round(ours / alone, 3),
        "peers": peers.rates(),
        "peers_missing": peers.missing,
        "times_peers": {name: round(ours / rate, 1) for name, rate in peers.rates().items()},
        "batched": {
            "samples_per_record": PER_RECORD,
            "samples_per_s": batched.samples_per_s,
            "times_single": round(batched.samples_per_s / ours, 2),
        },
        "growth": {str(series): _growth(some, ours) for series, some in growth.items()},
        "workers": workers,
        "runs": [asdict(each) for each in runs],
        "limits": [round(each) for each in limits],
        "machine": machine.after(),
    }


def _batched(address: str, size: Size) -> Run:
    """Records of a hundred samples, each of another series."""
    samples = Load(size.batched_series, per_record=PER_RECORD)
    return run(filled(address, samples, size.batched_steps), samples, size.batched_steps)


def _many(address: str, series: int, steps: int) -> Run:
    samples = Load(series)
    return run(filled(address, samples, steps), samples, steps)


def _growth(runs: Sequence[Run], base: float) -> dict[str, float]:
    rate = statistics.median(each.samples_per_s for each in runs)
    return {
        "samples_per_s": round(rate),
        "share": round(rate / base, 3),
        "cpu_us_per_sample": statistics.median(each.cpu_us for each in runs),
        "first_sample_us": statistics.median(each.first_us for each in runs),
    }
