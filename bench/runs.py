"""One worker as a process of its own, from the beginning of a topic to its end."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.lab import BenchError, Topics, engine, load, measured
from bench.load import Load, fill


@dataclass(frozen=True)
class Run:
    """What a worker reached.

    `samples_per_s` and `cpu_us` (processor time per sample) are from the moment when all series were seen
    to the moment when everything was durable; `first_us` is the wall time per series before, where compiled
    kernels are read from disk and rows are made. Memory is that of the whole process.
    """

    samples_per_s: float
    cpu_us: float
    first_us: float
    series: int
    resident_mib: float
    peak_mib: float
    load: float


def run(topics: Topics, samples: Load, steps: int) -> Run:
    """Let a worker of a new group take `steps` steps of `samples`, which are on the topic.

    Raises:
        BenchError: the worker ended or stood still, or there are too few steps.
    """
    records = samples.records * steps
    with TemporaryDirectory() as folder:
        command = engine(topics.config(Path(folder)), records, samples.series)
        with measured(command) as worker:
            scored, warm, done = (worker.until(event) for event in ("scored", "warm", "done"))
    if done["records"] == warm["records"]:
        raise BenchError(f"{steps} steps are too few: all had been taken when the last series was seen")
    taken = (done["records"] - warm["records"]) * samples.series / samples.records
    return Run(
        samples_per_s=round(taken / (done["at"] - warm["at"])),
        cpu_us=round((done["cpu_s"] - warm["cpu_s"]) / taken * 1e6, 3),
        first_us=round((warm["at"] - scored["at"]) / max(1, warm["series"] - scored["series"]) * 1e6, 1),
        series=done["series"],
        resident_mib=round(done["rss_mib"], 1),
        peak_mib=round(done["peak_mib"], 1),
        load=load(),
    )


def filled(address: str, samples: Load, steps: int) -> Topics:
    """New topics with `steps` steps of `samples` on `metrics`."""
    topics = Topics.create(address)
    asyncio.run(fill(address, topics.metrics, samples, steps))
    return topics
