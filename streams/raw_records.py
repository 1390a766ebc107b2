"""Raw records straight out of aiokafka's fetcher, for topics that are delivered in batches.

aiokafka makes a Python object of eleven fields of every record; that is half the cost of reading. The
records of its C parser already have all that a batch needs (offset, timestamp, key, value, headers).
"""

from collections import OrderedDict
from collections.abc import Callable, Container
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult
from aiokafka.errors import CorruptRecordException


class _Fetched(OrderedDict[TopicPartition, Any]):
    """The fetcher's store of fetched, unread results, which reads those of some topics our way."""

    def __init__(self, raw: Container[str], batched: Container[str], records: int) -> None:
        super().__init__()
        self._raw = raw
        self._batched = batched
        self._records = records

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult:
            read: Any = result  # its method is replaced on this one object
            if tp.topic in self._raw:
                read.getall = partial(take, result, limit=self._records)
            elif tp.topic in self._batched:
                read.getall = partial(_take_whole, result.getall, limit=self._records)
        super().__setitem__(tp, result)


def read_batches(
    consumer: AIOKafkaConsumer, *, raw: Container[str], batched: Container[str], records: int
) -> None:
    """Let the started `consumer` return about `records` records per poll and partition of `batched` topics.

    Those of `raw` topics stay raw, unless the consumer reads committed transactions only: then
    aiokafka's own reading stays, since that has to tell aborted records from committed ones.
    """
    fetcher = consumer._fetcher
    assert fetcher is not None  # noqa: S101 - the consumer is started
    uncommitted = fetcher._isolation_level == READ_UNCOMMITTED
    fetcher._records = _Fetched(raw if uncommitted else (), batched, records)


def _take_whole(
    getall: Callable[[int], list[Any]], max_records: int | None = None, *, limit: int
) -> list[Any]:
    return getall(limit)


def take(result: FetchResult, max_records: int | None = None, *, limit: int) -> list[Any]:
    """Take whole record batches from a fetch result until `limit` records are there, and move the position.

    Does what `FetchResult.getall` does: checks the assignment, checks the checksums where configured,
    leaves out control batches and records before the position, and steps over compacted batches.

    Raises:
        CorruptRecordException: a batch does not match its checksum.
    """
    if not result.check_assignment(result._topic_partition) or not result.has_more():
        return []
    source = result._partition_records
    pending = source._records
    taken: list[Any] = []
    while len(taken) < limit:
        if not pending.has_next():
            result._partition_records = None
            break
        batch = pending.next_batch()
        if source._check_crcs and not batch.validate_crc():
            source.next_fetch_offset = -1  # not the position, so the rest is dropped and fetched again
            raise CorruptRecordException(f"the checksum is wrong in {result._topic_partition}")
        if not batch.is_control_batch:
            position = source.next_fetch_offset
            if batch.base_offset < position:
                taken.extend(record for record in batch if record.offset >= position)
            else:
                taken.extend(batch)
        source.next_fetch_offset = batch.next_offset
    result._assignment.state_value(result._topic_partition).consumed_to(source.next_fetch_offset)
    return taken
