"""The batch transport on a real Kafka: delivery, acknowledgement, crashes.

Each test names what a user would lose without the property it holds.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from tests.kafka.chaos import Process, committed, create_topics, processes

pytestmark = pytest.mark.kafka

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(kafka: str, prefix: str) -> AsyncIterator[Start]:
    """Start a batch worker of this test's group on its topic `metrics`; keywords go to its job."""
    async with processes() as run:

        async def worker(**job: Any) -> Process:
            job = {"broker": kafka, "group": f"{prefix}group", "topic": f"{prefix}metrics"} | job
            return await run("-m", "tests.kafka.batch_worker", msgspec.json.encode(job).decode())

        yield worker


async def write(
    address: str, topic: str, count: int, *, per_batch: int = 10, partition: int = 0, first: int = 0
) -> None:
    """Write `count` records with the values first, first + 1, ... in Kafka batches of `per_batch` records."""
    async with AIOKafkaProducer(bootstrap_servers=address, compression_type="lz4") as producer:
        for begin in range(first, first + count, per_batch):
            batch = producer.create_batch()
            for value in range(begin, min(begin + per_batch, first + count)):
                batch.append(key=b"k%d" % value, value=b"%d" % value, timestamp=None)
            await (await producer.send_batch(batch, topic, partition=partition))


def processed(*workers: Process) -> list[tuple[int, int]]:
    """Partition and offset of each record that was processed, as often as it was."""
    return [
        (line["partition"], offset)
        for worker in workers
        for line in worker.said(kind="done")
        for offset in line["offsets"]
    ]


async def test_batches_carry_whole_records_and_the_group_generation(
    start: Start, kafka: str, prefix: str
) -> None:
    """Without the generation on the message the stream drops every batch in silence."""
    topic = f"{prefix}metrics"
    await create_topics(kafka, NewTopic(topic, 1, 1))
    await write(kafka, topic, 25)
    worker = await start(records_per_poll=10)
    lines = await worker.says(3, kind="done")
    assert [line["offsets"] for line in lines] == [[*range(10)], [*range(10, 20)], [*range(20, 25)]]
    assert [value for line in lines for value in line["values"]] == [str(value) for value in range(25)]
    assert [key for line in lines for key in line["keys"]] == [f"k{value}" for value in range(25)]
    assert [(line["first"], line["end"]) for line in worker.said(kind="taken")] == [
        (0, 10),
        (10, 20),
        (20, 25),
    ]
    await worker.says(kind="commit", end=25)
    assert await worker.stop() == 0
    assert await committed(kafka, f"{prefix}group", topic) == {0: 25}


@pytest.mark.parametrize("processed_batches", [1, 4])
async def test_a_crash_gives_exactly_the_unacknowledged_batches_again(
    start: Start, kafka: str, prefix: str, processed_batches: int
) -> None:
    """Where it covers less than the range, Faust takes the rest for a gap and commits the batch in work."""
    topic, k = f"{prefix}metrics", processed_batches
    await create_topics(kafka, NewTopic(topic, 1, 1))
    await write(kafka, topic, 80)
    first = await start(records_per_poll=10, stall_at=k)
    await first.says(kind="taken", number=k)
    await first.says(kind="commit", end=10 * k)
    # Further commits would come within 0.2 s each; more records make Faust look for gaps.
    await write(kafka, topic, 20, first=80)
    await first.tell(commit=True)
    await first.says(kind="committed")
    await first.kill()
    assert await committed(kafka, f"{prefix}group", topic) == {0: 10 * k}
    second = await start(records_per_poll=10)
    await second.says(kind="commit", end=100)
    assert processed(second) == [(0, offset) for offset in range(10 * k, 100)]


async def test_late_acknowledgements_never_pass_a_batch_that_has_none(
    start: Start, kafka: str, prefix: str
) -> None:
    """An application that acknowledges after its checkpoint must not lose what the checkpoint lacks."""
    topic, group = f"{prefix}metrics", f"{prefix}group"
    await create_topics(kafka, NewTopic(topic, 1, 1))
    await write(kafka, topic, 60)
    worker = await start(records_per_poll=10, late_s=-1)
    await worker.says(6, kind="done")

    async def commit() -> dict[int, int]:
        before = len(worker.said(kind="committed"))
        await worker.tell(commit=True)
        await worker.says(before + 1, kind="committed")
        return await committed(kafka, group, topic)

    assert await commit() == {}
    await worker.tell(ack=1)
    await worker.tell(ack=3)
    assert await commit() == {}
    await worker.tell(ack=0)
    assert await commit() == {0: 20}
    await worker.tell(below=[0, 49])  # the fifth batch ends at 50
    assert await commit() == {0: 40}
    await worker.tell(below=[0, 50])
    assert await commit() == {0: 50}
    await worker.kill()
    second = await start(records_per_poll=10)
    await second.says(kind="commit", end=60)
    assert processed(second) == [(0, offset) for offset in range(50, 60)]


async def test_after_a_recovery_a_topic_of_which_nothing_is_committed_is_read_from_its_beginning(
    start: Start, kafka: str, prefix: str
) -> None:
    """What was fetched before the end of a recovery is thrown away, and is lost if it is not read again."""
    topic = f"{prefix}metrics"
    await create_topics(kafka, NewTopic(topic, 2, 1))
    await write(kafka, topic, 30)
    await write(kafka, topic, 20, partition=1)
    group = f"{prefix}group"
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka, group_id=group) as consumer:
        await consumer.commit({TopicPartition(topic, 1): 10})
    worker = await start(records_per_poll=10, late_s=-1)
    await worker.says(4, kind="done")
    await worker.tell(seek=True)
    await worker.says(kind="sought")
    await worker.says(8, kind="done")
    again = processed(worker)[40:]
    assert sorted(again) == [(0, offset) for offset in range(30)] + [(1, offset) for offset in range(10, 20)]


async def test_a_fetch_that_a_rebalance_cuts_off_takes_nothing(start: Start, kafka: str, prefix: str) -> None:
    """It goes on in the consumer's thread; what it took after the seek would be thrown away for good."""
    topic = f"{prefix}metrics"
    await create_topics(kafka, NewTopic(topic, 1, 1))
    await write(kafka, topic, 20)
    worker = await start(records_per_poll=10, late_s=-1, fetch_takes_s=0.5)
    await worker.says(2, kind="done")
    await worker.tell(rebalance=True)
    await worker.says(kind="sought")
    await worker.says(4, kind="done")
    assert processed(worker)[20:] == [(0, offset) for offset in range(20)]


async def test_it_starts_in_the_middle_of_a_record_batch(start: Start, kafka: str, prefix: str) -> None:
    """The broker sends whole record batches; what lies before the committed offset was processed already."""
    topic, group = f"{prefix}metrics", f"{prefix}group"
    await create_topics(kafka, NewTopic(topic, 1, 1))
    await write(kafka, topic, 20)
    async with AIOKafkaConsumer(topic, bootstrap_servers=kafka, group_id=group) as consumer:
        await consumer.commit({TopicPartition(topic, 0): 4})
    worker = await start()
    await worker.says(kind="commit", end=20)
    assert processed(worker) == [(0, offset) for offset in range(4, 20)]


async def test_records_without_value_or_key_are_delivered(start: Start, kafka: str, prefix: str) -> None:
    topic = f"{prefix}metrics"
    await create_topics(kafka, NewTopic(topic, 1, 1))
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        await producer.send_and_wait(topic, None, key=b"tombstone")
        await producer.send_and_wait(topic, b"", key=None)
        await producer.send_and_wait(topic, b"v", key=b"k", headers=[("h", b"1")])
    worker = await start()
    await worker.says(kind="commit", end=3)
    lines = worker.said(kind="done")
    assert [value for line in lines for value in line["values"]] == [None, "", "v"]
    assert [key for line in lines for key in line["keys"]] == ["tombstone", None, "k"]


async def test_a_record_larger_than_any_fetch_does_not_block_its_partition(
    start: Start, kafka: str, prefix: str
) -> None:
    topic = f"{prefix}metrics"
    await create_topics(kafka, NewTopic(topic, 1, 1, topic_configs={"max.message.bytes": str(12 << 20)}))
    async with AIOKafkaProducer(bootstrap_servers=kafka, max_request_size=12 << 20) as producer:
        for size in (10, 10 << 20, 11):
            await producer.send_and_wait(topic, b"x" * size)
    worker = await start(values=False)
    await worker.says(kind="commit", end=3)
    assert sum(line["bytes"] for line in worker.said(kind="done")) == 21 + (10 << 20)


async def test_offsets_that_compaction_removed_are_no_gaps(start: Start, kafka: str, prefix: str) -> None:
    """Transactions and compaction leave holes in the offsets; acknowledgement must step over them."""
    topic = f"{prefix}metrics"
    await create_topics(kafka, NewTopic(topic, 1, 1))
    async with AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=f"{prefix}tx") as producer:
        for value in range(5):
            async with producer.transaction():
                await producer.send_and_wait(topic, b"%d" % value)
    worker = await start()
    await worker.says(kind="commit", end=9)  # each transaction's end marker takes an offset
    assert processed(worker) == [(0, offset) for offset in (0, 2, 4, 6, 8)]


async def test_the_group_goes_on_after_an_error_that_passes(start: Start, kafka: str, prefix: str) -> None:
    """A coordinator that is still loading after a restart is no reason to end, nor to wait for ever."""
    topic = f"{prefix}metrics"
    await create_topics(kafka, NewTopic(topic, 1, 1))
    worker = await start()
    await worker.says(kind="assigned", partitions=[0])
    for count in (1, 2):
        await worker.tell(trouble="KafkaError")
        await worker.says(count, kind="consumed")
    await write(kafka, topic, 10)
    await worker.says(kind="commit", end=10)


async def test_a_group_error_that_stays_ends_the_worker(start: Start, kafka: str, prefix: str) -> None:
    await create_topics(kafka, NewTopic(f"{prefix}metrics", 1, 1))
    worker = await start()
    await worker.says(kind="assigned", partitions=[0])
    await worker.tell(trouble="GroupAuthorizationFailedError")
    assert await worker.ended() != 0
    assert "GroupAuthorizationFailedError" in worker.tail()


@pytest.mark.slow
async def test_a_consumer_far_behind_needs_bounded_memory(start: Start, kafka: str, prefix: str) -> None:
    """400 MB come while the agent stalls, so compressible that few fetches bring all; then it takes them.

    What the compiled kernels take is there before: a first record of each partition has been read.
    """
    topic, size, count, partitions = f"{prefix}metrics", 10_000, 40_000, 4
    await create_topics(kafka, NewTopic(topic, partitions, 1))
    for number in range(partitions):
        await write(kafka, topic, 1, partition=number)
    worker = await start(values=False, linger_s=0.1, stall_at=partitions)
    await worker.says(partitions, kind="done")
    await worker.tell(memory=True)
    _, before = await worker.says(2, kind="memory")
    value = (b'{"metric":"requests","labels":{"service":"checkout"},"ts":1700000000000,"value":1}' * 200)[
        :size
    ]
    async with AIOKafkaProducer(
        bootstrap_servers=kafka, compression_type="lz4", max_batch_size=1 << 20, linger_ms=20
    ) as producer:
        for number in range(count):
            await producer.send(topic, value, partition=number % partitions)
        await producer.flush()
    await worker.tell(go=True)

    async def total() -> int:
        return sum(line["bytes"] for line in worker.said(kind="done"))

    await worker.until(total, lambda seen: seen >= size * count, "all records")
    await worker.tell(memory=True)
    *_, after = await worker.says(3, kind="memory")
    assert after["peak"] - before["peak"] < 150 << 20
