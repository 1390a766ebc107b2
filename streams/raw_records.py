"""Batches of records straight out of aiokafka's fetcher, bounded in number and bytes.

aiokafka makes a Python object of eleven fields of every record; that is half the cost of reading. The
records of its C parser already have all that most readers need (offset, timestamp, key, value, headers).
"""

from collections import OrderedDict
from collections.abc import Container
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult
from aiokafka.errors import CorruptRecordException

BYTES = 8 << 20
"""About this many bytes of values in one batch: bounds memory where records are large or compress well."""


class _Fetched(OrderedDict[TopicPartition, Any]):
    """The fetcher's store of fetched, unread results, which reads those of some topics our way."""

    def __init__(self, raw: Container[str], batched: Container[str], records: int) -> None:
        super().__init__()
        self._raw = raw
        self._batched = batched
        self._records = records

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        if type(result) is FetchResult and tp.topic in self._batched:
            read: Any = result  # its method is replaced on this one object
            read.getall = partial(take, result, records=self._records, raw=tp.topic in self._raw)
        super().__setitem__(tp, result)


def read_batches(
    consumer: AIOKafkaConsumer, *, raw: Container[str], batched: Container[str], records: int
) -> bool:
    """Let the started `consumer` return batches of about `records` records for `batched` topics.

    Those of `raw` topics stay raw. Returns whether it will: a consumer that reads committed transactions
    only is left as it is, since its reading has to tell aborted records from committed ones.
    """
    fetcher = consumer._fetcher
    assert fetcher is not None  # noqa: S101 - the consumer is started
    if fetcher._isolation_level != READ_UNCOMMITTED:
        return False
    fetcher._records = _Fetched(raw, batched, records)
    return True


def take(result: FetchResult, max_records: int | None = None, *, records: int, raw: bool) -> list[Any]:
    """Take whole record batches from a fetch result until `records` or `BYTES` are there; move the position.

    Does what `FetchResult.getall` does: checks the assignment, checks the checksums where configured,
    leaves out control batches and records before the position, and steps over compacted batches. The
    bytes are estimated by the first record of each record batch.

    Raises:
        CorruptRecordException: a batch does not match its checksum.
    """
    tp = result._topic_partition
    if not result.check_assignment(tp) or not result.has_more():
        return []
    source = result._partition_records
    pending = source._records
    taken: list[Any] = []
    size = 0
    while len(taken) < records and size < BYTES:
        if not pending.has_next():
            result._partition_records = None
            break
        batch = pending.next_batch()
        if source._check_crcs and not batch.validate_crc():
            source.next_fetch_offset = -1  # not the position, so the rest is dropped and fetched again
            raise CorruptRecordException(f"the checksum is wrong in {tp}")
        before = len(taken)
        if not batch.is_control_batch:
            position = source.next_fetch_offset
            if batch.base_offset < position:
                taken.extend(record for record in batch if record.offset >= position)
            else:
                taken.extend(batch)
        if len(taken) > before:
            size += (len(taken) - before) * len(taken[before].value or b"")
        source.next_fetch_offset = batch.next_offset
    result._assignment.state_value(tp).consumed_to(source.next_fetch_offset)
    return taken if raw else [source._consumer_record(tp, record) for record in taken]
