"""Reading raw records equals aiokafka's own reading, on aiokafka's own objects and Kafka's own bytes."""

import struct
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import SubscriptionState
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from streams.raw_records import BYTES, take

TP = TopicPartition("metrics", 3)

values = st.one_of(st.none(), st.binary(max_size=8))
batches = st.lists(
    st.tuples(
        st.integers(0, 5),  # offsets that are missing before the batch
        st.lists(st.tuples(st.integers(0, 3), values), min_size=1, max_size=6),  # missing before the record
        st.sampled_from([0, 3]),  # none, lz4
    ),
    min_size=1,
    max_size=6,
)


def _encode(batches: list[Any], start: int = 100) -> bytes:
    """Record batches as a broker stores them, with holes in the offsets as compaction leaves them."""
    data, offset = b"", start
    for hole, records, compression in batches:
        offset += hole
        builder = DefaultRecordBatchBuilder(2, compression, False, -1, -1, -1, 1 << 20)
        base, last = offset, 0
        for missing, value in records:
            last += missing
            builder.append(last, 1_700_000_000_000 + base + last, b"key", value, [("h", b"1")])
            last += 1
        encoded = bytearray(builder.build())
        struct.pack_into(">q", encoded, 0, base)  # the broker sets it; the checksum does not cover it
        data += bytes(encoded)
        offset = base + last
    return data


def _result(data: bytes, position: int) -> FetchResult:
    subscription = SubscriptionState()
    subscription.assign_from_user([TP])
    assignment = subscription.subscription.assignment
    assignment.state_value(TP).seek(position)
    records = PartitionRecords(TP, MemoryRecords(data), [], position, None, None, True, READ_UNCOMMITTED)
    return FetchResult(TP, assignment=assignment, partition_records=records, backoff=0.1)


def _position(result: FetchResult) -> int:
    position: int = result._assignment.state_value(TP).position
    return position


def _facts(record: Any) -> tuple[Any, ...]:
    return record.offset, record.timestamp, record.key, record.value, tuple(record.headers)


@given(batches=batches, skip=st.integers(0, 12), limit=st.integers(1, 12))
async def test_the_same_records_and_the_same_end_in_any_portions(
    batches: list[Any], skip: int, limit: int
) -> None:
    data = _encode(batches)
    whole = _result(data, 100 + skip)
    expected = whole.getall()
    for raw in (True, False):
        result, got = _result(data, 100 + skip), []
        while result.has_more():
            portion = take(result, records=limit, raw=raw)
            assert len(portion) < limit + 6  # at most a record batch more
            if portion:
                assert _position(result) > portion[-1].offset
            got += portion
        assert [_facts(record) for record in got] == [_facts(record) for record in expected]
        assert _position(result) == _position(whole)
        if not raw:
            assert got == expected


async def test_a_portion_is_bounded_in_bytes() -> None:
    large = b"x" * (BYTES // 4)
    data = _encode([(0, [(0, large)], 3)] * 9)
    result = _result(data, 100)
    assert [len(take(result, records=1000, raw=True)) for _ in range(3)] == [4, 4, 1]


@pytest.mark.parametrize("broken", [0, 1])
async def test_a_broken_checksum_is_raised_and_its_batch_is_fetched_again(broken: int) -> None:
    batch = len(_encode([(0, [(0, b"a")], 0)]))
    data = bytearray(_encode([(0, [(0, b"a")], 0), (0, [(0, b"b")], 0)]))
    data[broken * batch + batch - 3] ^= 1  # the value
    result = _result(bytes(data), 100)
    with pytest.raises(CorruptRecordException, match="partition=3"):
        take(result, records=10, raw=True)
    assert _position(result) == 100
    assert take(result, records=10, raw=True) == []
    assert not result.has_more()


async def test_after_a_seek_nothing_of_the_old_position_is_returned() -> None:
    result = _result(_encode([(0, [(0, b"a")] * 3, 0)] * 2), 100)
    assert len(take(result, records=1, raw=True)) == 3
    result._assignment.state_value(TP).seek(100)
    assert take(result, records=10, raw=True) == []
    assert _position(result) == 100
