"""One worker under measurement: `python -m bench.engine CONFIG [RECORDS [SERIES]]`.

Prints one JSON object a line, each with `event`, the wall clock `at` (Unix seconds), the processor time
`cpu_s` of this process, its memory, and the totals of the `metrics` partitions held, `records` and `series`:

- `imported`: the interpreter and the modules are there;
- `assigned`, `restored`: partitions were given, their state was read back;
- `scored`: the first samples that no earlier worker has learnt are scored, their anomalies on their way;
- `warm`: all SERIES were seen at least once;
- `progress`: some of the records are processed, every tenth of a second while there are any;
- `done`: RECORDS records are processed, their outputs written, state in the changelog, offsets committed.

It runs until its standard input ends.
"""

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from streams.config import read
from streams.detection import DetectPartition
from streams.output import Output
from streams.worker import Worker

PROGRESS_S = 0.1


class Engine:
    """Runs the worker of `config` and tells its milestones; `records` and `series` of 0 are never reached."""

    def __init__(self, config: Path, records: int, series: int) -> None:
        self._records = records
        self._series = series
        self._told: set[str] = set()
        self._told_at = 0.0
        self._processed = asyncio.Event()
        self.worker = Worker(read(config), environ=os.environ, listen=self._listen)
        app = self.worker.pipeline.app
        app.on_partitions_assigned.connect(self._assigned)
        app.on_rebalance_complete.connect(self._restored)

    def _partitions(self) -> Iterable[DetectPartition]:
        assert self.worker.pipeline.detect is not None
        held = self.worker.pipeline.detect.partitions.values()
        return [partition for partition in held if isinstance(partition, DetectPartition)]

    def tell(self, event: str) -> None:
        """Print a milestone, once."""
        if event in self._told:
            return
        if event != "progress":
            self._told.add(event)
        self._told_at = time.monotonic()
        partitions = self._partitions()
        line = {
            "event": event,
            "at": time.time(),
            "cpu_s": time.process_time(),
            "records": sum(partition.counts.records for partition in partitions),
            "series": sum(map(len, partitions)),
            "rss_mib": _memory_mib("VmRSS"),
            "peak_mib": _memory_mib("VmHWM"),
        }
        print(json.dumps(line), flush=True)

    async def _assigned(self, *_: Any, **__: Any) -> None:
        self.tell("assigned")

    async def _restored(self, *_: Any, **__: Any) -> None:
        self.tell("restored")

    def _listen(self, stage: str, outputs: Sequence[Output]) -> None:
        if stage != "detect":
            return
        if any(partition.counts.samples for partition in self._partitions()):
            self.tell("scored")
        if time.monotonic() - self._told_at >= PROGRESS_S:
            self.tell("progress")
        if self._series and "warm" not in self._told and sum(map(len, self._partitions())) >= self._series:
            self.tell("warm")
        if self._records and sum(p.counts.records for p in self._partitions()) >= self._records:
            self._processed.set()

    async def run(self) -> None:
        """Run until standard input ends; say when everything asked for is durable."""
        await self.worker.start(patience_s=30)
        failed = asyncio.create_task(self.worker.wait())
        durable = asyncio.create_task(self._durable())
        ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        await asyncio.wait({failed, ended}, return_when=asyncio.FIRST_COMPLETED)
        durable.cancel()
        if failed.done():
            failed.result()
        failed.cancel()
        await self.worker.stop()

    async def _durable(self) -> None:
        await self._processed.wait()
        await self.worker.pipeline.checkpoint()
        await self.worker.pipeline.app.consumer.commit()
        self.tell("done")


def _memory_mib(kind: str) -> float:
    """Resident memory of this process, now (VmRSS) or at its highest (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(kind))


async def _main() -> None:
    config, *numbers = sys.argv[1:]
    records, series = [*map(int, numbers), 0, 0][:2]
    engine = Engine(Path(config), records, series)
    engine.tell("imported")
    await engine.run()


def main() -> None:
    """Run until standard input ends."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    asyncio.run(_main())


if __name__ == "__main__":
    main()
