"""One pass of a fixed stream through worker processes, and how it compares with another."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.integration.facts import Facts, facts
from tests.integration.harness import PATIENCE_S, Setting, WorkerProcess, caught_up, produce, until
from tests.integration.receiver import Receiver, receiving
from tests.integration.stream import TOML, Entry

NAMES = ("metrics", "events", "detect-control", "alert-control", "changes", "signals", "commands", "outcomes")


@dataclass
class Run:
    """One pass of the stream through workers on topics of their own."""

    setting: Setting
    receiver: Receiver
    folder: Path
    stream: list[list[Entry]]
    workers: list[WorkerProcess] = field(default_factory=list)

    def start(self) -> WorkerProcess:
        """Start one more worker."""
        worker = WorkerProcess(self.setting, self.folder / f"worker-{len(self.workers)}.log").start()
        self.workers.append(worker)
        return worker

    async def topics_made(self) -> None:
        """Wait until the first worker has made the topics."""
        await self.workers[0].says("created topics")

    async def feed(self, part: int, parts: int) -> None:
        """Produce one of `parts` equal parts of the stream, in order."""
        size = -(-len(self.stream) // parts)
        entries = [entry for tick in self.stream[part * size : (part + 1) * size] for entry in tick]
        for topic in ("events", "metrics"):
            await produce(
                self.setting.kafka,
                self.setting.topic(topic),
                [(entry.key, entry.value) for entry in entries if entry.topic == topic],
            )

    async def effects(self, count: int) -> None:
        """Wait until the receiver has acted on `count` commands."""

        async def ask() -> int:
            return len(self.receiver.effects)

        await until(ask, lambda seen: seen >= count, what=f"{count} commands executed")

    async def finish(self) -> Facts:
        """Wait until all is processed, stop what runs, and tell what is there."""
        running = [worker for worker in self.workers if worker.process is not None]
        await caught_up(self.setting, *NAMES, alive=running)
        for worker in running:
            assert await worker.stop() == 0, worker.text[-3000:]
        return await facts(self.setting, self.receiver)


@asynccontextmanager
async def open_run(
    kafka: str, redis: str, folder: Path, stream: list[list[Entry]], **fields: Any
) -> AsyncIterator[Run]:
    """A run on fresh topics, its workers set up by `fields` of `Setting`; at its end they are killed."""
    folder.mkdir()
    async with receiving() as receiver:
        prefix = f"k{os.urandom(4).hex()}-"
        given = {"checkpoint_s": 0.1, "toml": TOML.format(url=receiver.url)} | fields
        setting = Setting(path=folder / "tidegate.toml", kafka=kafka, redis=redis, prefix=prefix, **given)
        setting.write()
        run = Run(setting, receiver, folder, stream)
        try:
            yield run
        finally:
            for worker in run.workers:
                worker.kill()


def assert_same(found: Facts, wanted: Facts) -> None:
    """Compare part by part, so that a failure names the part."""
    assert found.dead_letters == wanted.dead_letters
    assert found.anomalies == wanted.anomalies
    assert found.alerts == wanted.alerts
    assert found.incidents == wanted.incidents
    assert found.commands == wanted.commands
    assert found.releases == wanted.releases
    assert found.statuses == wanted.statuses
    assert found.executed == wanted.executed
    assert found.series == wanted.series
    assert found.targets.keys() == wanted.targets.keys()
    for target, state in wanted.targets.items():
        other = found.targets[target]
        differing = {key: (state[key], other[key]) for key in state if state[key] != other[key]}
        assert not differing, differing


async def in_action(
    run: Run, what: Callable[[], None], after: int, *, answered: bool, delay_s: float
) -> None:
    """Do `what` when command number `after` takes effect: before the answer, or some time later."""
    reached = asyncio.Event()

    def before(effects: int) -> None:
        if effects >= after and not reached.is_set():
            if not answered:
                what()
            reached.set()

    run.receiver.before = before
    async with asyncio.timeout(PATIENCE_S):
        await reached.wait()
    if answered:
        await asyncio.sleep(delay_s)  # the moment of the fault, not a wait for something
        what()
