"""What a second worker on a second core adds."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.lab import PATIENCE_S, BenchError, Process, Topics, engine
from bench.load import Load, fill

# The workers are stopped while their input is written.
PATIENT = "session_timeout_s = 80.0\nrebalance_timeout_s = 80.0\n"
WARM, BUSY = 0.2, 0.8  # shares of the input between which all are known to be busy
POLL_S = 0.05


def measure(address: str, samples: Load, steps: int) -> dict[str, Any]:
    """Records/s of one worker on one core, and of two workers of one group on two cores.

    Raises:
        BenchError: a worker ended, or stood still.
    """
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2 or shutil.which("taskset") is None:
        return {"skipped": "needs two cores and taskset"}
    one = _together(address, samples, steps, cores[:1])
    two = _together(address, samples, steps, cores[:2])
    return {"one_records_per_s": round(one), "two_records_per_s": round(two), "ratio": round(two / one, 2)}


def _together(address: str, samples: Load, steps: int, cores: Sequence[int]) -> float:
    """Records/s of a worker per core, together.

    They join the group first and are held up (SIGSTOP) until their input is there.
    """
    topics = Topics.create(address)
    workers: list[Process] = []
    with TemporaryDirectory() as folder:
        config = topics.config(Path(folder), kafka=PATIENT)
        try:
            for core in cores:
                workers.append(Process(["taskset", "-c", str(core), *engine(config)]))
                workers[-1].until("restored")
            for worker in workers:
                worker.process.send_signal(signal.SIGSTOP)
            asyncio.run(fill(address, topics.metrics, samples, steps))
            for worker in workers:
                worker.process.send_signal(signal.SIGCONT)
            return _rate(workers, samples.records * steps)
        finally:
            for worker in workers:
                worker.kill()


def _rate(workers: Sequence[Process], records: int) -> float:
    """Records/s of all workers while their sum is between the shares `WARM` and `BUSY` of `records`."""
    tracks: list[list[tuple[float, int]]] = [[(0.0, 0)] for _ in workers]
    end = time.monotonic() + PATIENCE_S
    while sum(track[-1][1] for track in tracks) < records * BUSY:
        if time.monotonic() > end:
            raise BenchError(f"{len(workers)} workers stand still: {workers[0].said()}")
        for worker, track in zip(workers, tracks, strict=True):
            track += [(line["at"], line["records"]) for line in worker.told("progress")]
        time.sleep(POLL_S)
    enough = records * WARM / len(workers)
    kept = [[point for point in track if point[1] >= enough] for track in tracks]
    return sum((track[-1][1] - track[0][1]) / (track[-1][0] - track[0][0]) for track in kept)
