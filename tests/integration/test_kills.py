"""Nothing lost and nothing twice: runs with workers that are killed end as an undisturbed run does."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from streams.worker import wall_clock
from tests.integration.facts import Facts, facts
from tests.integration.harness import Setting, WorkerProcess, caught_up, produce, until
from tests.integration.receiver import Receiver, receiving
from tests.integration.stream import TICK_MS, TOML, Entry, ticks

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

TICKS = 400
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
async def open_run(kafka: str, redis: str, folder: Path, stream: list[list[Entry]]) -> AsyncIterator[Run]:
    """A run on fresh topics; workers that still run at its end are killed."""
    folder.mkdir()
    async with receiving() as receiver:
        setting = Setting(
            path=folder / "tidegate.toml", kafka=kafka, redis=redis, prefix=f"k{os.urandom(4).hex()}-",
            checkpoint_s=0.1, toml=TOML.format(url=receiver.url),
        ).write()  # fmt: skip
        run = Run(setting, receiver, folder, stream)
        try:
            yield run
        finally:
            for worker in run.workers:
                worker.kill()


@pytest.fixture(scope="module")
def stream() -> list[list[Entry]]:
    """The input of all runs of this module."""
    return list(ticks(wall_clock() // TICK_MS * TICK_MS - TICKS * TICK_MS, TICKS))


@pytest.fixture(scope="module")
def undisturbed(
    kafka: str, redis_url: str, stream: list[list[Entry]], tmp_path_factory: pytest.TempPathFactory
) -> Facts:
    """What a run without faults leaves behind."""

    async def run() -> Facts:
        folder = tmp_path_factory.mktemp("undisturbed") / "run"
        async with open_run(kafka, redis_url, folder, stream) as run:
            run.start()
            await run.topics_made()
            await run.feed(0, 1)
            return await run.finish()

    found = asyncio.run(run())
    # The stream must hold what the comparison is about.
    assert len(found.anomalies) >= 5
    assert {state for _, state, _ in found.alerts} >= {"firing", "resolved"}
    assert len(found.executed["scale"]) >= 20
    assert len(found.executed["rollback"]) == 1
    assert [change["what"] for change in found.releases.values()] == ["deployed", "rolled-back"]
    assert len(found.dead_letters) == TICKS // 50
    assert all(statuses == {"executed"} for statuses in found.statuses.values())
    return found


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
        assert {key: (state[key], other[key]) for key in state if state[key] != other[key]} == {}


async def kill_in_action(
    run: Run, worker: WorkerProcess, after: int, *, answered: bool, delay_s: float
) -> None:
    """Kill `worker` when command number `after` takes effect: before the answer, or some time later."""
    reached = asyncio.Event()

    def before(effects: int) -> None:
        if effects >= after and not reached.is_set():
            if not answered:
                worker.kill()
            reached.set()

    run.receiver.before = before
    async with asyncio.timeout(90):
        await reached.wait()
    await asyncio.sleep(delay_s)  # the moment of the kill, not a wait for something
    worker.kill()


@pytest.mark.parametrize("seed", [1])
async def test_a_worker_killed_again_and_again(
    seed: int, kafka: str, redis_url: str, stream: list[list[Entry]], undisturbed: Facts, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    async with open_run(kafka, redis_url, tmp_path / "run", stream) as run:
        kills = 3
        worker = run.start()
        await run.topics_made()
        for kill in range(kills):
            await run.feed(kill, kills + 1)
            more = rng.randint(1, 8)
            await kill_in_action(
                run,
                worker,
                len(run.receiver.effects) + more,
                answered=rng.random() < 0.6,
                delay_s=rng.random() * 0.3,
            )
            worker.start()
        await run.feed(kills, kills + 1)
        assert_same(await run.finish(), undisturbed)


async def test_one_of_two_workers_is_killed_and_another_joins(
    kafka: str, redis_url: str, stream: list[list[Entry]], undisturbed: Facts, tmp_path: Path
) -> None:
    rng = random.Random(2)
    async with open_run(kafka, redis_url, tmp_path / "run", stream) as run:
        first = run.start()
        await run.topics_made()
        second = run.start()
        await run.feed(0, 3)
        await run.effects(5)
        first.kill()
        await run.feed(1, 3)
        await run.effects(len(run.receiver.effects) + rng.randint(1, 5))
        third = await run.start().ready()
        await run.feed(2, 3)
        assert_same(await run.finish(), undisturbed)
        for joined in (second, third):
            assert "-metrics [" in joined.text, "each of them has read a partition"
