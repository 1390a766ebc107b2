"""Worker processes that end with their test, and the settings they run by."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.worker import wall_clock
from tests.integration.facts import Facts
from tests.integration.harness import Setting, WorkerProcess
from tests.integration.run import open_run
from tests.integration.stream import TICK_MS, Entry, ticks

TICKS = 400
NewWorker = Callable[..., WorkerProcess]


@pytest.fixture
def setting(kafka: str, redis_url: str, prefix: str, tmp_path: Path) -> Callable[..., Setting]:
    """Makes the configuration of this test's workers; `toml` and fields of `Setting` may be given."""

    def make(toml: str = "", **fields: Any) -> Setting:
        given = {"kafka": kafka, "redis": redis_url, "prefix": prefix} | fields
        return Setting(path=tmp_path / "tidegate.toml", toml=toml, **given).write()

    return make


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[NewWorker]:
    """Starts workers; those still running at the end are killed."""
    made: list[WorkerProcess] = []

    def start(setting: Setting, **fields: Any) -> WorkerProcess:
        process = WorkerProcess(setting, tmp_path / f"worker-{len(made)}.log", **fields).start()
        made.append(process)
        return process

    yield start
    for process in made:
        process.kill()


@pytest.fixture(scope="session")
def stream() -> list[list[Entry]]:
    """The input of all runs that are compared."""
    return list(ticks(wall_clock() // TICK_MS * TICK_MS - TICKS * TICK_MS, TICKS))


@pytest.fixture(scope="session")
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
