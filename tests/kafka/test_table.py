"""State in a table of blocks: durable before its input is acknowledged, restored, and ready on standbys."""

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from random import Random
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic

from streams.epochs import tagged
from streams.exports import newest
from tests.kafka.chaos import Load, Process, committed, create_topics, deaths, processes
from tests.kafka.table_worker import decode
from tests.kafka.test_transport import write

pytestmark = pytest.mark.kafka

KILLS = int(os.environ.get("TIDEGATE_KILLS", "3"))

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(kafka: str, prefix: str) -> AsyncIterator[Start]:
    """Start a table worker of this test's group on its topic `metrics`; keywords go to its job."""
    async with processes() as run:

        async def worker(**job: Any) -> Process:
            job = {"broker": kafka, "group": f"{prefix}g", "topic": f"{prefix}metrics", "partitions": 1} | job
            return await run("-m", "tests.kafka.table_worker", msgspec.json.encode(job).decode())

        yield worker


async def _counted(address: str, prefix: str) -> dict[tuple[int, int], dict[str, int]]:
    """The newest block by partition and key, as the changelog has it."""
    found = await newest(f"{prefix}g-counts-changelog", {"bootstrap_servers": address})
    return {
        (number, int(key)): decode(block)
        for number, partition in found.items()
        for key, block in partition.blocks.items()
    }


@pytest.mark.slow
async def test_each_record_counts_once_however_often_the_worker_is_killed(
    start: Start, kafka: str, prefix: str
) -> None:
    """Blocks of 0.9 MB of random bytes; kills fall between counting, writing and acknowledging."""
    topic = f"{prefix}metrics"
    await create_topics(kafka, NewTopic(topic, 1, 1))
    load = Load(kafka, topic, 1)
    lives = await deaths(
        lambda: start(padding=900_000, checkpoint_s=0.05),
        KILLS,
        Random(KILLS),
        busy={"kind": "durable"},
        most=4,
    )
    total = len(await load.end())
    await lives[-1].says(kind="durable", end=total, counts=total)
    for before, after in itertools.pairwise(lives):
        durable = before.said(kind="durable")[-1]["counts"]
        restored = after.said(kind="restored")[0]["blocks"].values()
        assert sum(block["count"] for block in restored) >= durable
    assert await lives[-1].stop() == 0
    assert await committed(kafka, f"{prefix}g", topic) == {0: total}
    blocks = await _counted(kafka, prefix)
    assert {key: block["count"] for (_, key), block in blocks.items()} == {
        key: len(range(key, total, 3)) for key in range(3)
    }


@pytest.mark.slow
async def test_a_standby_has_the_blocks_before_it_takes_over(start: Start, kafka: str, prefix: str) -> None:
    """It joins when the changelog is there already, and reads it while the group is still settling."""
    topic = f"{prefix}metrics"
    await create_topics(kafka, NewTopic(topic, 2, 1))
    for partition in (0, 1):
        await write(kafka, topic, 30, partition=partition)
    first = await start(partitions=2, standbys=1)
    for partition in (0, 1):
        await first.says(kind="durable", partition=partition, counts=30)
    second = await start(partitions=2, standbys=1)
    moved = (await second.says(kind="standby", counts=30))[0]["partition"]
    await first.kill()
    await write(kafka, topic, 10, partition=moved, first=30)
    await second.says(kind="durable", partition=moved, end=40, counts=40)
    (restored,) = second.said(kind="restored", partition=moved)
    assert sum(block["count"] for block in restored["blocks"].values()) == 30


@pytest.mark.slow
async def test_a_standby_misses_nothing_while_the_group_settles_and_takes_over_without_reading_again(
    start: Start, kafka: str, prefix: str
) -> None:
    """Faust stops the flow and empties its queues when thousands of blocks are on their way."""
    topic, changelog, blocks = f"{prefix}metrics", f"{prefix}g-counts-changelog", 5_000
    compacted = {"cleanup.policy": "compact"}
    await create_topics(kafka, NewTopic(topic, 2, 1), NewTopic(changelog, 2, 1, topic_configs=compacted))
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for number in range(2 * blocks):
            key, padding = tagged(0, b"%d" % (number // 2)), b"\0" * 500
            await producer.send(changelog, b'{"count": 1, "end": 0}' + padding, key=key, partition=number % 2)
    first = await start(partitions=2, standbys=1)
    for partition in (0, 1):
        await write(kafka, topic, 3, partition=partition)
        await first.says(kind="durable", partition=partition, end=3)
    second = await start(partitions=2, standbys=1, busy_s=0.05)
    moved = (await second.says(kind="standby", blocks=blocks))[0]["partition"]
    await first.kill()
    await write(kafka, topic, 1, partition=moved, first=3)
    await second.says(kind="durable", partition=moved, end=4)
    (restored,) = second.said(kind="restored", partition=moved)
    assert len(restored["blocks"]) == blocks
    assert restored["read"] == restored["epoch"], "each record before its own is read once"


@pytest.mark.slow
async def test_a_fetch_that_a_rebalance_overtakes_does_not_hold_up_recovery(
    start: Start, kafka: str, prefix: str
) -> None:
    """It would fetch the changelog after recovery has gone to its beginning, and have that thrown away."""
    topic = f"{prefix}metrics"
    await create_topics(kafka, NewTopic(topic, 2, 1))
    first = await start(partitions=2)
    for partition in (0, 1):
        await write(kafka, topic, 3, partition=partition)
        await first.says(kind="durable", partition=partition, end=3)
    second = await start(partitions=2, patience_s=3.0, busy_s=0.2)
    ((kept,),) = [line["partitions"] for line in await second.says(kind="assigned")]
    await write(kafka, topic, 3, partition=kept, first=3)
    await second.says(kind="durable", partition=kept, counts=6)
    assert await first.stop() == 0
    await write(kafka, topic, 3, partition=1 - kept, first=3)
    await second.says(kind="durable", partition=1 - kept, counts=6)
