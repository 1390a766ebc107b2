"""Worker processes that end with their test, and the settings they run by."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.harness import Setting, WorkerProcess

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
