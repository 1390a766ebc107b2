"""Time from `kill -9` to the first new sample that is scored, with many series.

`tidegate bench recovery [--quick] [--json FILE]`. A producer sends samples all the time. A worker that has
learnt all series is killed and started again at once, as a supervisor would. Beside it: the same worker in a
new group, whose state is empty: what starting takes by itself.
"""

import asyncio
import os
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.lab import Machine, Process, Topics, engine, measured
from bench.load import Load, fill
from tests.kafka.broker import running

MILESTONES = ("imported", "assigned", "restored", "scored")
NAMED = os.environ | {"TIDEGATE_INSTANCE": "bench"}  # as a supervisor names what it starts again
FEED_S = 600  # longer than any run; the producer is ended before


@dataclass(frozen=True)
class Size:
    """How much is measured: `series` learnt from `steps` samples each, kills, and records/s meanwhile.

    A worker tells some ten times a second that it goes on; it is killed after `progress` of that.
    """

    series: int = 100_000
    steps: int = 5
    repeats: int = 3
    rate: float = 20_000.0
    progress: int = 50


QUICK = Size(repeats=1)


def measure(size: Size) -> dict[str, Any]:
    """Recovery figures: the median of the kills, with the milestones on the way.

    Raises:
        BenchError: a worker failed.
        KafkaUnavailableError: no Apache Kafka can be had here.
    """
    machine = Machine.now()
    with running() as address, TemporaryDirectory() as folder:
        topics, samples = Topics.create(address), Load(size.series)
        asyncio.run(fill(address, topics.metrics, samples, size.steps))
        kills = _kills(topics, topics.config(Path(folder)), samples, size)
        fresh = [_fresh(topics.config(Path(folder))) for _ in range(size.repeats)]
    middle = sorted(kills, key=lambda each: each["scored"])[len(kills) // 2]
    return {
        "series": size.series,
        "first_scored_s": middle["scored"],
        "without_state_s": statistics.median(fresh),
        "milestones_s": middle,
        "kills_s": [each["scored"] for each in kills],
        "machine": machine.after(),
    }


def _kills(topics: Topics, config: Path, samples: Load, size: Size) -> list[dict[str, float]]:
    """Kill a worker, start it again, kill that one, and so on; seconds from each kill to the milestones.

    `cpu` is the processor time that the worker had used when the first new sample was scored.
    """
    feed = [sys.executable, "-m", "bench.feed", topics.address, topics.metrics]
    numbers = [str(size.series), str(size.rate), str(FEED_S), "0", str(size.steps)]
    found = []
    worker = Process(engine(config, samples.records * size.steps), env=NAMED)
    try:
        worker.until("done")
        producer = Process([*feed, *numbers])
        try:
            for _ in range(size.repeats):
                for _ in range(size.progress):
                    worker.until("progress")
                worker.kill()
                killed = time.time()
                worker = Process(engine(config), env=NAMED)
                lines = {name: worker.until(name) for name in MILESTONES}
                found.append(
                    {name: round(line["at"] - killed, 2) for name, line in lines.items()}
                    | {"cpu": round(lines["scored"]["cpu_s"], 2)}
                )
        finally:
            producer.kill()
    finally:
        worker.kill()
    return found


def _fresh(config: Path) -> float:
    """Seconds from starting a worker that has no state to its first sample."""
    with measured(engine(config)) as worker:
        return round(worker.until("scored")["at"] - worker.began, 2)
