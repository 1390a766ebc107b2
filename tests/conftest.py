"""Real components for the tests, started once and stopped by their own process ids.

In CI (CI=true) a component that cannot be had fails the test; elsewhere the test is skipped with the reason.
"""

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from streams.embedded import EmbeddedBroker, EmbeddedError, EmbeddedLedger
from tests.kafka.broker import Cluster, KafkaUnavailableError, running

ROOT = Path(__file__).parents[1]
_numbers = itertools.count(1)


def _missing(what: str, reason: object) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is required in CI: {reason}", pytrace=False)
    pytest.skip(f"{what}: {reason}")


@pytest.fixture(scope="session")
def kafka() -> Iterator[str]:
    """Bootstrap address of one real Apache Kafka, shared by the session. Use `prefix` for topics."""
    server = running()
    try:
        address = server.__enter__()
    except KafkaUnavailableError as error:
        _missing("Apache Kafka", error)
    try:
        yield address
    finally:
        server.__exit__(None, None, None)


@pytest.fixture
def own_kafka() -> Iterator[Cluster]:
    """One broker of this test's own that it may kill, stall, restart."""
    yield from _cluster(1)


@pytest.fixture
def kafka_cluster() -> Iterator[Cluster]:
    """Three brokers of this test's own (replication 3, min in-sync 2) that it may kill, stall, restart."""
    yield from _cluster(3)


def _cluster(brokers: int) -> Iterator[Cluster]:
    cluster = Cluster(brokers, heap="320m")
    try:
        cluster.start()
    except KafkaUnavailableError as error:
        _missing("Apache Kafka", error)
    try:
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def prefix() -> str:
    """A prefix for topic, group and app names that no other test of any run shares."""
    return f"t{os.getpid()}-{next(_numbers)}-{os.urandom(3).hex()}-"


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a real Redis, shared by the session: TIDEGATE_REDIS, Debian's redis-server, or Valkey."""
    given = os.environ.get("TIDEGATE_REDIS")
    if given:
        yield given
        return
    installed = shutil.which("redis-server")
    ledger = EmbeddedLedger(binary=Path(installed) if installed else None)
    try:
        asyncio.run(ledger.start())
    except EmbeddedError as error:
        _missing("Redis", error)
    try:
        yield ledger.url
    finally:
        asyncio.run(ledger.stop())


@pytest.fixture
async def embedded_broker() -> AsyncIterator[EmbeddedBroker]:
    """An embedded broker of this test's own."""
    broker = EmbeddedBroker()
    try:
        await broker.start()
    except EmbeddedError as error:
        _missing("the embedded broker", error)
    try:
        yield broker
    finally:
        await broker.stop()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the shared measuring tools and data (TIDEGATE_DATA, else `../shared`)."""
    folder = Path(os.environ.get("TIDEGATE_DATA", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(
            f"no shared data at {folder}: set TIDEGATE_DATA to the folder that holds data/ and tools/"
        )
    return folder
