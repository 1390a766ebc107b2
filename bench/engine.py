"""One worker, run to the end of what is on `metrics`: `python -m bench.engine CONFIG RECORDS`.

Prints JSON: `records`, `seconds` and `records_per_s` from the end of the first batch to the moment when all
records are processed, their outputs written, the state in the changelog and the offsets committed.
"""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from streams.config import read
from streams.detection import DetectPartition
from streams.output import Output
from streams.worker import Worker


class _Clock:
    """Notes when the first batch was done and when all records were."""

    def __init__(self, records: int) -> None:
        self.records = records
        self.first: tuple[float, int] | None = None
        self.done = asyncio.Event()
        self.worker: Worker | None = None

    def listen(self, stage: str, outputs: Sequence[Output]) -> None:
        if stage != "detect" or self.worker is None:
            return
        seen = processed(self.worker)
        if self.first is None:
            self.first = (time.perf_counter(), seen)
        if seen >= self.records:
            self.done.set()


def processed(worker: Worker) -> int:
    """Records that the worker's partitions of `metrics` have taken."""
    assert worker.pipeline.detect is not None
    partitions = worker.pipeline.detect.partitions.values()
    return sum(p.counts.records for p in partitions if isinstance(p, DetectPartition))


async def run(config: Path, records: int) -> dict[str, float]:
    """Process `records` records and return the figures."""
    clock = _Clock(records)
    worker = Worker(read(config), environ=os.environ, listen=clock.listen)
    clock.worker = worker
    await worker.start(patience_s=30)
    await clock.done.wait()
    await worker.pipeline.checkpoint()
    await worker.pipeline.app.consumer.commit()
    end = time.perf_counter()
    assert clock.first is not None
    began, already = clock.first
    assert worker.pipeline.detect is not None
    series = sum(len(p) for p in worker.pipeline.detect.partitions.values() if isinstance(p, DetectPartition))
    await worker.stop()
    return {
        "records": records - already,
        "seconds": end - began,
        "records_per_s": (records - already) / (end - began),
        "series": series,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Run and print the figures."""
    config, records = sys.argv[1:]
    print(json.dumps(asyncio.run(run(Path(config), int(records)))))


if __name__ == "__main__":
    main()
