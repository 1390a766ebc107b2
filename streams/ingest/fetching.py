"""Makes an aiokafka consumer hand out the records of some topics as `RecordSet`s.

aiokafka makes two Python objects of every record, which takes several times as long as decoding it. It offers
nothing cheaper, so this reaches behind its interface in two places: it keeps the bytes of fetch responses as
they arrive, and reads the buffered result of a partition in its own way. Positions, pauses, rebalances and
errors stay with aiokafka. Written against 0.14; `tests/ingest/test_fetching.py` shows whether another fits.
"""

from collections import OrderedDict
from collections.abc import Container
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, FetchResult
from aiokafka.errors import KafkaError

from streams.ingest.record_set import RecordSet, is_readable, read_batches

_FETCH = 1
"""Kafka's API key of fetch requests."""


def deliver_record_sets(
    consumer: AIOKafkaConsumer, topics: Container[str], *, records: int | None = None
) -> bool:
    """Let `getmany` of a started consumer return a `RecordSet` for each partition of `topics` from now on.

    With `records`, a set has whole record batches until about so many records or `PORTION_BYTES` are in it.
    Call it in the consumer's event loop; `topics` may change later. Returns False, and changes nothing, for a
    consumer that reads committed records only: leaving out aborted transactions is aiokafka's. What is in an
    older message format is delivered as aiokafka's own records, too.
    """
    fetcher: Any = consumer._fetcher
    if fetcher._isolation_level != READ_UNCOMMITTED:
        return False
    arrived: dict[TopicPartition, bytes] = {}
    fetcher._client = _Client(fetcher._client, topics, arrived)
    fetcher._records = _Buffer(fetcher._records, arrived, fetcher._check_crcs, records)
    return True


class _Client:
    """The fetcher's client; what arrives for the topics is noted before aiokafka wraps it."""

    def __init__(self, client: Any, topics: Container[str], arrived: dict[TopicPartition, bytes]) -> None:
        self._client = client
        self._topics = topics
        self._arrived = arrived

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        response = await self._client.send(node_id, request, **options)
        if response.API_KEY == _FETCH:
            for topic, partitions in response.topics:
                if topic in self._topics:
                    for partition, *_, batches in partitions:
                        self._arrived[TopicPartition(topic, partition)] = batches
        return response


class _Buffer(OrderedDict[TopicPartition, Any]):
    """The fetcher's results by partition; one of noted bytes is made to read them as a `RecordSet`."""

    def __init__(
        self, held: Any, arrived: dict[TopicPartition, bytes], check_crcs: bool, records: int | None
    ) -> None:
        self._arrived = arrived
        self._check_crcs = check_crcs
        self._portion = records
        super().__init__(held)

    def __setitem__(self, tp: TopicPartition, result: Any) -> None:
        batches = self._arrived.pop(tp, None)
        if batches and type(result) is FetchResult and is_readable(batches):
            _Reading(tp, result, batches, self._check_crcs, self._portion)
        super().__setitem__(tp, result)


class _Reading:
    """Stands in a `FetchResult` for aiokafka's iterator over records, and for the loop that drains it."""

    def __init__(
        self, tp: TopicPartition, result: Any, batches: bytes, check_crcs: bool, portion: int | None
    ) -> None:
        self.next_fetch_offset: int = result._partition_records.next_fetch_offset
        self._tp = tp
        self._result = result
        self._batches: bytes | memoryview = batches
        self._check_crcs = check_crcs
        self._portion = portion
        self._records: RecordSet | None = None  # read, and not all taken yet
        self._end = self.next_fetch_offset
        result._partition_records = self
        result.getall = self.take

    def take(self, max_records: int | None = None) -> RecordSet | list[Any]:
        """The next records, as `FetchResult.getall`, and the position moved past them."""
        result = self._result
        if not result.check_assignment(self._tp) or not result.has_more():
            return []
        held = self._records if self._records is not None else self._read()
        taken, left = held[:max_records], held[len(held) if max_records is None else max_records :]
        self._records = left if len(left) else None
        self.next_fetch_offset = int(taken.offsets[-1]) + 1 if len(left) else self._end
        result._update_position()
        if not len(left) and not len(self._batches):
            result._partition_records = None
        return taken

    def _read(self) -> RecordSet:
        try:
            held, self._end, self._batches = read_batches(
                *self._tp,
                self._batches,
                self.next_fetch_offset,
                check_crcs=self._check_crcs,
                records=self._portion,
            )
        except KafkaError:
            self.next_fetch_offset = -1  # not the position, so the rest is dropped and fetched again
            raise
        return held
