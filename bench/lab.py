"""What all benchmarks of speed share: the machine, topics on a real Kafka, and workers as processes."""

import asyncio
import json
import os
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from streams.config import KafkaConfig
from streams.topics import ensure_topics

ROOT = Path(__file__).parents[1]
PATIENCE_S = 300.0


class BenchError(RuntimeError):
    """A measurement failed; the text says which, and what its process said."""


@dataclass(frozen=True)
class Machine:
    """Where figures were measured, and how busy it was: the load average of the last minute."""

    cpu: str
    cores: int
    memory_gib: float
    python: str
    load_before: float

    @classmethod
    def now(cls) -> Self:
        """This machine as it is now."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
        return cls(
            cpu=_cpu(),
            cores=os.cpu_count() or 1,
            memory_gib=round(memory, 1),
            python=platform.python_version(),
            load_before=load(),
        )

    def after(self) -> dict[str, Any]:
        """It and how busy it is now, as JSON."""
        return asdict(self) | {"load_after": load()}


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def load() -> float:
    """The load average of the last minute."""
    return round(os.getloadavg()[0], 2)


@dataclass(frozen=True)
class Topics:
    """Tidegate's topics under a prefix of their own, on the Kafka at `address`."""

    address: str
    prefix: str

    @classmethod
    def create(cls, address: str) -> Self:
        """Make them."""
        topics = cls(address, f"b{os.urandom(3).hex()}-")
        # The samples' times lie in the past, which retention would take for old age.
        kafka = KafkaConfig(brokers=(address,), prefix=topics.prefix, retention_hours=1_000_000)
        asyncio.run(ensure_topics(kafka, {"bootstrap_servers": address}))
        return topics

    @property
    def metrics(self) -> str:
        """Full name of the input topic."""
        return f"{self.prefix}metrics"

    def config(self, folder: Path, *, kafka: str = "") -> Path:
        """Write the configuration of a new group: all defaults but addresses, and more lines of [kafka]."""
        group = f"{self.prefix}{os.urandom(3).hex()}"
        path = folder / f"{group}.toml"
        path.write_text(
            f'[kafka]\nbrokers = ["{self.address}"]\nprefix = "{self.prefix}"\ngroup = "{group}"\n{kafka}'
            "[telemetry]\nport = 0\n"
        )
        return path


class Process:
    """A measured program that prints JSON lines and ends with its standard input."""

    def __init__(self, command: Sequence[str | Path], **options: Any) -> None:
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as this object
        self.began = time.time()
        self.process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True, cwd=ROOT, **options,
        )  # fmt: skip
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def until(self, event: str, patience_s: float = PATIENCE_S) -> dict[str, Any]:
        """Wait for the line whose `event` is this one, and return it.

        Raises:
            BenchError: the process ended, or said nothing of it in time.
        """
        end = time.monotonic() + patience_s
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise BenchError(f"no {event!r} within {patience_s:g} s: {self.said()}") from None
            if line is None:
                raise BenchError(f"the process ended before {event!r}: {self.said()}")
            if line.startswith("{") and (found := json.loads(line))["event"] == event:
                return dict(found)

    def told(self, event: str) -> list[dict[str, Any]]:
        """The lines of an `event` that came since lines were last taken; it does not wait.

        Raises:
            BenchError: the process ended.
        """
        found = []
        while not self._lines.empty():
            line = self._lines.get_nowait()
            if line is None:
                raise BenchError(f"the process ended: {self.said()}")
            if line.startswith("{") and (told := json.loads(line))["event"] == event:
                found.append(told)
        return found

    def said(self) -> str:
        """The end of what the process wrote to standard error."""
        self._log.flush()
        self._log.seek(0)
        return self._log.read()[-2000:]

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self.process.kill()
        self._close()

    def stop(self) -> None:
        """End its standard input and wait; by force after twenty seconds."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._close()

    def _close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.wait()
        self._reader.join()
        self.process.stdin.close()
        self.process.stdout.close()
        self._log.close()


@contextmanager
def measured(command: Sequence[str | Path], **options: Any) -> Iterator[Process]:
    """Run a measured program for the time of the block."""
    process = Process(command, **options)
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    else:
        process.stop()


def engine(config: Path, records: int = 0, series: int = 0) -> list[str | Path]:
    """The command of `bench.engine`."""
    return [sys.executable, "-m", "bench.engine", config, str(records), str(series)]
