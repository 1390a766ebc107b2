"""Brokers, Redis and workers fail under load, at random moments: what is left is that of a calm run.

The long forms (marker `chaos`, `make chaos`) print their seed; TIDEGATE_SEED repeats one.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.embedded import EmbeddedLedger, free_port
from tests.integration.facts import Facts
from tests.integration.harness import end_offsets, own_broker, records, unread, until
from tests.integration.run import Run, assert_same, open_run
from tests.integration.stream import Entry
from tests.kafka.broker import Cluster

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]

STAGES = ("detect", "plan")


@pytest.fixture
def rng() -> random.Random:
    """Randomness whose seed is told, and may be given as TIDEGATE_SEED."""
    seed = int(os.environ.get("TIDEGATE_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"TIDEGATE_SEED={seed}")
    return random.Random(seed)


class DurableLedger(EmbeddedLedger):
    """A ledger that keeps what it was told over a restart, as operations.md asks for."""

    def __init__(self, folder: Path) -> None:
        super().__init__(free_port())
        self._folder = folder

    def _arguments(self) -> list[str]:
        durable = ["--dir", str(self._folder), "--appendonly", "yes", "--appendfsync", "always"]
        return ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *durable]


@asynccontextmanager
async def durable_ledger(folder: Path) -> AsyncIterator[DurableLedger]:
    """A ledger of this test's own."""
    folder.mkdir()
    ledger = DurableLedger(folder)
    await ledger.start()
    try:
        yield ledger
    finally:
        await ledger.stop()


@asynccontextmanager
async def under_load(run: Run, part: int, parts: int) -> AsyncIterator[None]:
    """Produce a part of the stream while the body does its worst."""
    feeding = asyncio.create_task(run.feed(part, parts))
    try:
        yield
        await feeding
    finally:
        feeding.cancel()
        with suppress(asyncio.CancelledError):
            await feeding


async def compact(run: Run) -> None:
    """Let the brokers compact the changelogs now; return when they have."""
    quick = {
        "cleanup.policy": "compact", "segment.ms": "200", "min.cleanable.dirty.ratio": "0.001",
        "delete.retention.ms": "0", "min.compaction.lag.ms": "0", "max.compaction.lag.ms": "200",
    }  # fmt: skip
    topics = [f"{run.setting.prefix}workers-{stage}-state-changelog" for stage in STAGES]
    admin = AIOKafkaAdminClient(bootstrap_servers=run.setting.kafka)
    await admin.start()
    try:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, t, quick) for t in topics])
    finally:
        await admin.close()

    async def removed() -> list[int]:
        """By topic, how many records are gone."""
        left = [len(await records(run.setting.kafka, topic)) for topic in topics]
        ends = [await end_offsets(run.setting.kafka, topic) for topic in topics]
        return [end - count for end, count in zip(ends, left, strict=True)]

    await until(removed, lambda gone: all(count > 0 for count in gone), what="changelogs compacted")


async def test_brokers_and_redis_fail_and_the_changelog_is_compacted(
    kafka_cluster: Cluster, stream: list[list[Entry]], undisturbed: Facts, tmp_path: Path
) -> None:
    """Three brokers, replication 3, at least two in sync."""
    await _fail_in_turn(kafka_cluster, stream, undisturbed, tmp_path, stall_s=3.0)


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_brokers_and_redis_fail_for_long(
    kafka_cluster: Cluster, stream: list[list[Entry]], undisturbed: Facts, tmp_path: Path
) -> None:
    """As above; a broker stalls for 30 s, longer than the session of the workers and that of the broker."""
    await _fail_in_turn(kafka_cluster, stream, undisturbed, tmp_path, stall_s=30.0)


async def _fail_in_turn(
    cluster: Cluster, stream: list[list[Entry]], undisturbed: Facts, tmp_path: Path, stall_s: float
) -> None:
    parts = 6
    async with (
        durable_ledger(tmp_path / "redis") as ledger,
        open_run(cluster.address, ledger.url, tmp_path / "run", stream, replication=3) as run,
    ):
        first, second = run.start(), run.start()
        await first.says("created topics|the worker is ready")
        await second.ready()
        await run.feed(0, parts)
        await run.effects(3)
        async with under_load(run, 1, parts):
            cluster.nodes[0].kill()
        cluster.nodes[0].start()
        await cluster.ready()
        cluster.nodes[1].freeze()
        async with under_load(run, 2, parts):
            await asyncio.sleep(stall_s)  # how long the stall lasts
            cluster.nodes[1].thaw()
        await cluster.ready()
        async with under_load(run, 3, parts):
            await ledger.stop()
            await until(
                lambda: unread(run.setting, "commands"), lambda waiting: waiting > 0, what="commands wait"
            )
            await ledger.start()
        await run.effects(len(run.receiver.effects) + 1)
        await run.feed(4, parts)
        await compact(run)
        first.kill()
        second.kill()
        first.start()
        await run.feed(5, parts)
        second.start()
        assert_same(await run.finish(), undisturbed)


@pytest.mark.chaos
@pytest.mark.timeout(900)
async def test_the_only_broker_is_away_for_a_minute(
    redis_url: str, stream: list[list[Entry]], undisturbed: Facts, tmp_path: Path
) -> None:
    async with (
        own_broker() as cluster,
        open_run(cluster.address, redis_url, tmp_path / "run", stream) as run,
    ):
        run.start()
        await run.topics_made()
        await run.feed(0, 2)
        await run.effects(5)
        cluster.nodes[0].kill()
        await asyncio.sleep(60.0)  # how long it is away
        cluster.nodes[0].start()
        await cluster.ready()
        await run.feed(1, 2)
        assert_same(await run.finish(), undisturbed)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
async def test_workers_are_killed_over_and_over(
    kafka: str,
    redis_url: str,
    stream: list[list[Entry]],
    undisturbed: Facts,
    tmp_path: Path,
    rng: random.Random,
) -> None:
    """Two or three workers; each kill at a random moment, also within a rebalance or a recovery."""
    kills = int(os.environ.get("TIDEGATE_KILLS") or 20)
    async with open_run(kafka, redis_url, tmp_path / "run", stream) as run:
        run.start()
        await run.topics_made()
        run.start()
        for kill in range(kills):
            async with under_load(run, kill, kills + 1):
                await asyncio.sleep(rng.uniform(0.0, 4.0))  # the moment of the kill
                victim = rng.choice(run.workers)
                victim.kill()
                if rng.random() < 0.2 and len(run.workers) < 3:
                    run.start()
                await asyncio.sleep(rng.uniform(0.0, 2.0))
                victim.start()
        await run.feed(kills, kills + 1)
        found = await run.finish()
        assert_same(found, undisturbed)
        print(
            f"{kills} kills of {len(run.workers)} workers; equal: {len(found.anomalies)} anomalies, "
            f"{len(found.alerts)} alerts, {len(found.commands)} commands, each executed once, "
            f"{len(found.dead_letters)} dead letters, state in {len(found.series)} blocks and "
            f"of {len(found.targets)} targets"
        )
