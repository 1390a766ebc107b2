"""A consumer that delivers record sets delivers what any consumer delivers, on a real Kafka."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.ingest.fetching import deliver_record_sets
from streams.ingest.record_set import RecordSet

pytestmark = pytest.mark.kafka

COUNT = 3000


async def create_topic(kafka: str, name: str, partitions: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1)])
    finally:
        await admin.close()


@asynccontextmanager
async def producing(kafka: str, **options: Any) -> AsyncIterator[AIOKafkaProducer]:
    async with AIOKafkaProducer(bootstrap_servers=kafka, linger_ms=5, **options) as producer:
        yield producer


async def fill(kafka: str, topic: str, first: int, count: int, codec: str | None) -> None:
    """Write numbered records to the two partitions in turn; some have a header, some no value."""
    async with producing(kafka, compression_type=codec) as producer:
        for i in range(first, first + count):
            headers = [("n", b"%d" % i)] if i % 7 == 0 else []
            value = None if i % 9 == 0 else b"value %d" % i
            await producer.send(topic, value, key=b"%d" % i, partition=i % 2, timestamp_ms=i, headers=headers)
        await producer.flush()


@asynccontextmanager
async def consuming(kafka: str, *topics: str, sets: bool, **options: Any) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of all partitions from their beginning; with `sets` the first topic comes in record sets."""
    options = {"auto_offset_reset": "earliest", "enable_auto_commit": False, **options}
    async with AIOKafkaConsumer(bootstrap_servers=kafka, **options) as consumer:
        if sets:
            assert deliver_record_sets(consumer, {topics[0]})
        consumer.assign([TopicPartition(topic, partition) for topic in topics for partition in (0, 1)])
        yield consumer


def plain(record: Any) -> tuple[Any, ...]:
    fields = ("topic", "partition", "offset", "timestamp", "key", "value", "headers")
    return tuple(getattr(record, field) for field in fields)


async def drain(consumer: AIOKafkaConsumer, count: int, **options: Any) -> dict[Any, list[Any]]:
    """Poll until `count` records came; the records by partition, as tuples."""
    got: dict[Any, list[Any]] = {}
    while sum(map(len, got.values())) < count:
        for tp, records in (await consumer.getmany(timeout_ms=1000, **options)).items():
            got.setdefault(tp, []).extend(map(plain, records))
    return got


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
async def test_all_records_are_those_of_a_plain_consumer(kafka: str, prefix: str, codec: str | None) -> None:
    topic, other = prefix + "metrics", prefix + "other"
    for name in (topic, other):
        await create_topic(kafka, name, 2)
        await fill(kafka, name, 0, COUNT, codec)
    async with (
        consuming(kafka, topic, other, sets=False) as usual,
        consuming(kafka, topic, other, sets=True) as raw,
    ):
        assert await drain(raw, 2 * COUNT) == await drain(usual, 2 * COUNT)
        for partition in (0, 1):
            tp = TopicPartition(topic, partition)
            assert await raw.position(tp) == await usual.position(tp) == COUNT // 2


async def test_only_the_topics_asked_for_come_in_sets_and_a_poll_stays_within_its_bound(
    kafka: str, prefix: str
) -> None:
    topic, other = prefix + "metrics", prefix + "other"
    for name in (topic, other):
        await create_topic(kafka, name, 2)
        await fill(kafka, name, 0, COUNT, "lz4")
    seen = 0
    async with consuming(kafka, topic, other, sets=True) as consumer:
        while seen < 2 * COUNT:
            polled = await consumer.getmany(timeout_ms=1000, max_records=100)
            assert sum(map(len, polled.values())) <= 100
            for tp, records in polled.items():
                assert isinstance(records, RecordSet if tp.topic == topic else list)
                seen += len(records)
                if not len(records):
                    continue
                assert await consumer.position(tp) >= records[-1].offset + 1


async def test_seeking_pausing_and_new_records_are_followed(kafka: str, prefix: str) -> None:
    topic = prefix + "metrics"
    await create_topic(kafka, topic, 2)
    await fill(kafka, topic, 0, COUNT, "lz4")
    zero, one = TopicPartition(topic, 0), TopicPartition(topic, 1)
    async with consuming(kafka, topic, sets=True) as consumer:
        await drain(consumer, 10, max_records=10)
        consumer.seek(zero, 700)
        consumer.seek(one, 1000)
        consumer.pause(one)
        got = await drain(consumer, COUNT // 2 - 700)
        assert [record[2] for record in got[zero]] == list(range(700, COUNT // 2))
        assert one not in got
        consumer.resume(one)
        got = await drain(consumer, COUNT // 2 - 1000)
        assert [record[2] for record in got[one]] == list(range(1000, COUNT // 2))
        await fill(kafka, topic, COUNT, 10, None)
        got = await drain(consumer, 10)
        assert {tp: [record[2] for record in records] for tp, records in got.items()} == {
            tp: list(range(COUNT // 2, COUNT // 2 + 5)) for tp in (zero, one)
        }


async def test_the_marker_of_a_transaction_is_no_record(kafka: str, prefix: str) -> None:
    topic = prefix + "metrics"
    await create_topic(kafka, topic, 2)
    async with producing(kafka, transactional_id=prefix + "writer") as producer:
        for i in range(3):
            async with producer.transaction():
                await producer.send(topic, b"%d" % i, partition=0)
    await fill(kafka, topic, 0, 2, None)
    async with consuming(kafka, topic, sets=True) as consumer:
        got = await drain(consumer, 5)
        assert [(r[2], r[5]) for r in got[TopicPartition(topic, 0)]] == [
            (0, b"0"),
            (2, b"1"),
            (4, b"2"),
            (6, None),
        ]


async def test_committed_records_only_are_left_to_aiokafka(kafka: str, prefix: str) -> None:
    topic = prefix + "metrics"
    await create_topic(kafka, topic, 2)
    await fill(kafka, topic, 0, 10, None)
    async with consuming(kafka, topic, sets=False, isolation_level="read_committed") as consumer:
        assert not deliver_record_sets(consumer, {topic})
        polled = await consumer.getmany(timeout_ms=10_000)
        assert {type(records) for records in polled.values()} == {list}
