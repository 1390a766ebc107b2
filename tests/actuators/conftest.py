"""A real ledger server for the tests of the hands, and a fresh ledger on it for each test."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from actuators import RedisLedger
from tests.actuators.server import RedisServer

_numbers = itertools.count()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that leave it alive."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server for one test to kill."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def new_ledger(redis_server: RedisServer) -> Callable[[], RedisLedger]:
    """Makes empty ledgers."""

    def make() -> RedisLedger:
        return RedisLedger.from_url(redis_server.url, namespace=f"test-{next(_numbers)}")

    return make


@pytest.fixture
async def ledger(new_ledger: Callable[[], RedisLedger]) -> AsyncIterator[RedisLedger]:
    """An empty ledger."""
    made = new_ledger()
    yield made
    await made.close()
