"""The batch transport: Faust gets one event per poll and partition instead of one per record.

Faust's price is paid per event, so topics that carry samples are delivered in batches: the agent's
event holds the raw records of one poll. All other topics keep one event per record.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, cast

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError
from faust.exceptions import ImproperlyConfigured
from faust.tables.manager import TableManager
from faust.transport.consumer import RecordMap, ensure_TP
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, ConsumerMessage, Message
from faust.types.topics import TopicT
from faust.types.transports import TPorTopicSet

from streams.ingest.fetching import deliver_record_sets
from streams.privileges import AccessError

log = logging.getLogger(__name__)

RECORDS_PER_POLL = 8192
"""About this many records in one event, whole record batches; a poll costs little beyond a few thousand."""

BUFFERED_BATCHES = 4
"""Batches that wait before an agent; with RECORDS_PER_POLL it bounds memory when the consumer is behind."""


FETCH_WAIT_MS = 20
"""Longest wait of a fetch for data. aiokafka has one fetch under way per broker, and a partition that is not
part of it (its last records were just being read) waits for its end: Faust's 1500 ms would delay samples."""


FETCH_PATIENCE_S = 0.2
"""A fetch that finds nothing ends after this; a rebalance waits for the fetch that is under way."""


RETRY_S = 0.2
"""Pause after an error of the group that passes."""


class Record(Protocol):
    """One raw Kafka record of a batch. `timestamp` is Unix ms, `value` is None for a tombstone."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Iterable[tuple[str, bytes]]: ...


@dataclass(slots=True)
class _Range:
    """The offsets of one delivered batch: `first` up to, not including, `end`."""

    first: int
    end: int
    acked: bool = False


class BatchMessage(ConsumerMessage):
    """One poll's records of one partition; its `value` is the sequence of records.

    Its acknowledgement lives in the consumer's range, so that it covers all offsets of the batch, and
    an acknowledgement that arrives after a rebalance touches nothing of the next assignment.
    """

    __slots__ = ("range",)

    def __init__(self, tp: TP, records: Sequence[Record], delivered: _Range, generation_id: int) -> None:
        self.range = delivered
        last = records[-1]
        super().__init__(
            tp.topic,
            tp.partition,
            delivered.first,
            last.timestamp / 1000.0,
            0,
            None,
            None,
            cast(Any, records),
            None,
            0,
            0,
            tp,
            generation_id=generation_id,
        )

    @property
    def end(self) -> int:
        """The offset after the last record: what `Transport.acknowledge` takes."""
        return self.range.end

    @property
    def acked(self) -> bool:
        """Whether the whole batch may be committed."""
        return self.range.acked

    @acked.setter
    def acked(self, value: bool) -> None:
        self.range.acked = value

    def ack(self, consumer: Any, n: int = 1) -> bool:
        """Acknowledge the batch; a batch that no stream has taken yet stays unacknowledged.

        Faust's Python stream acknowledges messages that it skips during a rebalance.
        """
        return self.tracked and super().ack(consumer, n)


class _Batches(faust.Schema[Any, Any]):
    """Hands the records to the agent as it is: no codec, no copy."""

    def loads_key(self, app: AppT, message: Message, **_: Any) -> Any:
        return None

    def loads_value(self, app: AppT, message: Message, **_: Any) -> Any:
        return message.value


def batch_topic(app: AppT, name: str, *, buffered: int = BUFFERED_BATCHES, **options: Any) -> TopicT:
    """Declare topic `name` of `app` as delivered in batches; `options` are those of `app.topic`.

    An agent on it receives a sequence, never empty, ascending in offset, of one partition's records: a
    `RecordSet`, or a list of aiokafka's records where they are in an old format or of transactions.
    `event.message` is a `BatchMessage`. At most `buffered` batches wait before the agent.

    Raises:
        TypeError: the app's broker URL does not have the scheme `tidegate://`.
    """
    transport = app.transport
    if not isinstance(transport, Transport):
        raise TypeError(
            f"topic {name!r}: batches need the broker URL scheme tidegate://, "
            f"the app's broker is {app.conf.broker!r}"
        )
    transport.batch_topics.add(name)
    topic = app.topic(name, schema=_Batches(), **options)
    topic.maxsize = buffered  # the parameter of this name is dropped by Faust
    return topic


class _Fetched(dict[TP, Any]):
    """Records of one poll, and the group generation that they were fetched in."""

    generation: int = -1


class ConsumerThread(driver.AIOKafkaConsumerThread):
    """The consumer's thread, fetching more records at once and noting their group generation."""

    _in_batches = False

    def _create_worker_consumer(self, transport: driver.Transport) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        # Faust takes another assignor where an app has no tables; with that the worker could not join a group
        # whose other workers have some.
        self._assignor = self.app.assignor
        consumer._partition_assignment_strategy = [self._assignor]
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, reading batch topics in batches."""
        await super().on_start()
        transport = cast(Transport, self.transport)
        self._in_batches = deliver_record_sets(
            self._ensure_consumer(), transport.batch_topics, records=transport.records_per_poll
        )

    async def _fetch_records(
        self,
        consumer: AIOKafkaConsumer,
        active_partitions: set[TP] | None,
        timeout: float | None = None,  # noqa: ASYNC109
        max_records: int | None = None,
    ) -> RecordMap:
        # Faust's limit of records per poll is one for single events; a batch has its own per partition.
        transport = cast(Transport, self.transport)
        if transport.batch_topics:
            max_records = None if self._in_batches else transport.records_per_poll
        try:
            self._raise_group_error(consumer)
            records = await super()._fetch_records(
                consumer, cast(set[TP], active_partitions), timeout=timeout, max_records=max_records
            )
        except KafkaError as error:
            if not self._passes(error, consumer):
                raise
            log.warning("the consumer group has trouble, trying again: %s", error)
            await asyncio.sleep(RETRY_S)
            return {}
        # No await lies between the fetcher's check of the assignment and this line.
        fetched = _Fetched({ensure_TP(tp): batch for tp, batch in records.items()})
        fetched.generation = consumer._coordinator.generation if consumer._coordinator else -1
        return fetched

    def _raise_group_error(self, consumer: AIOKafkaConsumer) -> None:
        """Raise the group coordination's pending error, which lets the coordination go on.

        aiokafka's own getmany does it; Faust reads past getmany, so that the group would wait for ever.
        """
        if consumer._coordinator is not None:
            consumer._coordinator.check_errors()

    def _passes(self, error: KafkaError, consumer: AIOKafkaConsumer) -> bool:
        """Whether the group can go on after an error, for example while its coordinator is still loading.

        aiokafka wraps what it did not expect in a bare KafkaError; errors of access have their own types.
        """
        with suppress(KafkaError):  # told to a waiting fetch, the error is still pending
            self._raise_group_error(consumer)
        coordinator = consumer._coordinator
        ended = isinstance(coordinator, GroupCoordinator) and coordinator._coordination_task.done()
        return not ended and (type(error) is KafkaError or error.retriable)


class Consumer(driver.Consumer):
    """Faust's aiokafka consumer with batches.

    Each delivered batch is a range of offsets. What may be committed is the end of the longest
    acknowledged prefix of ranges, so offsets that were never delivered (compaction, transaction
    markers) are no gaps, and no offset is committed before its batch is acknowledged. Faust's own
    logic keys on single offsets and would fill the batch's inside as a gap, thus commit it early.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._delivered: dict[TP, deque[_Range]] = {}
        self._fetchable = asyncio.Event()
        self._fetches: set[asyncio.Future[RecordMap]] = set()
        super().__init__(*args, **kwargs)

    @property
    def _batch_topics(self) -> set[str]:
        return cast(Transport, self.transport).batch_topics

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109
        """Yield the messages of one poll: records of ordinary topics first, then one per batch."""
        fetched, active = await self._wait_next_records(min(timeout, FETCH_PATIENCE_S))
        if not fetched or self.should_stop:
            return
        generation = self.app.consumer_generation_id
        if isinstance(fetched, _Fetched) and not self.app.client_only and fetched.generation != generation:
            return  # fetched before a rebalance, after which partitions start from what is committed
        # Where the flow stops from here on, a rebalance or the end follows: the next owner of the partition
        # starts from what is committed.
        singles = {tp: records for tp, records in fetched.items() if tp.topic not in self._batch_topics}
        for tp, record in self.scheduler.iterate(singles):
            if not self._deliverable(tp, active, generation):
                continue
            yield tp, self._to_message(tp, record)
        for tp, records in fetched.items():
            if tp.topic not in self._batch_topics or not self._deliverable(tp, active, generation):
                continue
            yield tp, self._to_batch(tp, records, generation)

    def _deliverable(self, tp: TP, active: set[TP] | None, generation: int) -> bool:
        """Whether records of `tp` may go on; paused and revoked partitions are fetched again later."""
        if not self.flow_active or self.app.consumer_generation_id != generation:
            return False
        if active is not None and tp not in active and tp not in self._buffered_partitions:
            return False
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        return True

    def _to_batch(self, tp: TP, records: Sequence[Record], generation: int) -> BatchMessage:
        delivered = _Range(records[0].offset, records[-1].offset + 1)
        self._delivered.setdefault(tp, deque()).append(delivered)
        return BatchMessage(tp, records, delivered, generation)

    def acknowledge(self, tp: TP, end: int) -> None:
        """Acknowledge all delivered batches of `tp` that lie below the offset `end`."""
        for delivered in self._delivered.get(tp, ()):
            if delivered.end > end:
                break
            delivered.acked = True
        if self._waiting_for_ack is not None and not self._waiting_for_ack.done():
            self._waiting_for_ack.set_result(None)

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self._batch_topics:
            return super()._new_offset(tp)
        # Faust's streams note single offsets here as well; for batches they mean nothing.
        self._acked.pop(tp, None)
        self._acked_index.pop(tp, None)
        ranges = self._delivered.get(tp)
        end = None
        while ranges and ranges[0].acked:
            end = ranges.popleft().end
        return end

    def _filter_tps_with_pending_acks(self, topics: TPorTopicSet | None = None) -> Iterator[TP]:
        yield from (tp for tp in super()._filter_tps_with_pending_acks(topics) if tp not in self._delivered)
        for tp in list(self._delivered):
            if topics is None or tp in topics or tp.topic in topics:
                yield tp

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        if tp.topic not in self._batch_topics:
            await super()._add_gap(tp, offset_from, offset_to)

    async def perform_seek(self) -> None:
        """Go back to what is committed; batches delivered so far no longer count.

        Faust calls it when recovery is done, then empties the agents' queues and lets the flow go on. A
        fetch that is under way meanwhile would move the positions and have its records thrown away, so the
        flow stops first and the fetch is waited for.
        """
        self.stop_flow()
        await self._fetches_end()
        await super().perform_seek()
        self._delivered.clear()
        await self._seek_uncommitted()
        await self._seek_standbys()

    async def _seek_uncommitted(self) -> None:
        """Go back to the beginning of the topics of which nothing is committed.

        aiokafka's seek to what is committed leaves them where an earlier fetch has moved them, and what that
        fetch brought was thrown away.
        """
        changelogs = self.app.tables.changelog_topics
        fresh = {
            tp for tp in self.assignment() if tp.topic not in changelogs and not self._read_offset.get(tp)
        }
        if fresh and self.app.conf.consumer_auto_offset_reset == "earliest":
            await self.seek_wait(await self.earliest_offsets(*fresh))

    async def _seek_standbys(self) -> None:
        """Go back to what the standbys have taken from the changelogs.

        They are being read already when Faust empties the queues. Without this they would go on behind what
        was lost there, and a standby that takes over would miss those changes without a word.
        """
        recovery = cast(TableManager, self.app.tables).recovery
        taken = {tp: recovery.standby_offsets.get(tp) for tp in recovery.standby_tps & self.assignment()}
        behind = {tp: offset + 1 for tp, offset in taken.items() if offset is not None}
        if behind:
            await self.seek_wait(behind)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Go to offsets. The flow stops; Faust lets it go on after each of its calls.

        A fetch that is under way, from before a rebalance, would move the positions again and have its
        records thrown away: recovery would wait for them for ever, a standby miss them.
        """
        self.stop_flow()
        await self._fetches_end()
        await super().seek_wait(partitions)

    async def seek(self, partition: TP, offset: int) -> None:
        """Go to an offset; batches of the partition delivered so far no longer count."""
        await super().seek(partition, offset)
        self._delivered.pop(ensure_TP(partition), None)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the application write its state, commit, and forget the partitions."""
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._delivered.pop(tp, None)

    async def on_start(self) -> None:
        """Check that the application's `release` will be called."""
        if cast(Transport, self.transport).release is not None and not self.app.conf.stream_wait_empty:
            raise ImproperlyConfigured("a transport with `release` needs the setting stream_wait_empty=True")
        await super().on_start()

    async def wait_empty(self) -> None:
        """Commit what is done: let the application release its batches, and wait for all other events."""
        release = cast(Transport, self.transport).release
        if release is None:
            await super().wait_empty()
        else:
            await release()
            while not self.should_stop and any(
                not (message.acked or isinstance(message, BatchMessage)) for message in self._unacked_messages
            ):
                await self.commit()
                await self._wait_for_ack(timeout=1)
            self._clean_unacked_messages()
        # Faust's commit does nothing but wait where one is under way, which may have begun before the last
        # acknowledgement.
        while await self.maybe_wait_for_commit_to_finish():
            continue
        await self.commit_and_end_transactions()

    def on_buffer_drop(self, tp: TP) -> None:
        """Fetch from the partition again."""
        super().on_buffer_drop(tp)
        self._fetchable.set()

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Fetch from the partitions again."""
        super().resume_partitions(tps)
        self._fetchable.set()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> RecordMap:  # noqa: ASYNC109
        # Faust's own set changes while the fetch is under way, and an empty one would mean all partitions.
        wanted = None if active_partitions is None else set(active_partitions)
        # A rebalance cancels this task, but not the fetch in the consumer's thread: that one goes on, into
        # the new assignment even, and what it takes is lost. So it is known until it has really ended.
        fetch = asyncio.ensure_future(super()._getmany(cast(set[TP], wanted), timeout))
        self._fetches.add(fetch)
        fetch.add_done_callback(self._fetched)
        return await asyncio.shield(fetch)

    def _fetched(self, fetch: asyncio.Future[RecordMap]) -> None:
        self._fetches.discard(fetch)
        if not fetch.cancelled():
            fetch.exception()  # seen, also where nobody waits for it any more

    async def _fetches_end(self) -> None:
        """Wait for the fetches that are under way."""
        while self._fetches:
            await asyncio.wait(set(self._fetches))

    async def _wait_next_records(self, timeout: float) -> tuple[RecordMap | None, set[TP] | None]:  # noqa: ASYNC109
        # Again and again: a rebalance may have stopped the flow once more before this task got its turn.
        while not (self.flow_active or self.should_stop):
            await self.wait(cast(Any, self.can_resume_flow))
        if not (self.app.client_only or self._get_active_partitions()):
            # Faust sleeps a second here. All partitions are buffered, which takes milliseconds, or paused.
            self._fetchable.clear()
            await self.wait_first(self._fetchable.wait(), self.suspend_flow.wait(), timeout=timeout)
            return {}, set()
        return await super()._wait_next_records(timeout)


class Transport(driver.Transport):
    """Kafka through aiokafka, some topics in batches; registered as the URL scheme `tidegate://`.

    `batch_topics` is filled by `batch_topic`. `release` is awaited before partitions
    are given up (a rebalance, a stop): it waits for the batches that are being processed, writes state,
    and acknowledges; what is unacknowledged after it is delivered to the next owner. It may be awaited
    twice at a stop.
    """

    Consumer = Consumer

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.batch_topics: set[str] = set()
        self.records_per_poll = RECORDS_PER_POLL
        self.release: Callable[[], Awaitable[None]] | None = None

    async def _really_create_topic(
        self, owner: Any, client: Any, topic: str, *args: Any, **options: Any
    ) -> None:
        """Make a topic; where that is not allowed, one that an administrator has made will do."""
        try:
            await super()._really_create_topic(owner, client, topic, *args, **options)
        except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
            if topic not in (await client.fetch_all_metadata()).topics():
                raise AccessError(
                    f"the Kafka user lacks: Create on topic {topic}; grant it, or make the topic, with "
                    "cleanup.policy=compact"
                ) from error

    def acknowledge(self, tp: TP, end: int) -> None:
        """Acknowledge all batches of `tp` delivered below the offset `end` (exclusive).

        For agents that iterate `stream.noack()`: call it once their effect is durable, with the end of
        the last batch contained (`BatchMessage.end`). The next commit carries it to the broker.
        """
        cast(Consumer, self.app.consumer).acknowledge(tp, end)

    def committed_end(self, tp: TP) -> int | None:
        """The offset from which `tp` would be read after a restart; None where nothing is committed."""
        committed: int | None = cast(Consumer, self.app.consumer)._committed_offset[ensure_TP(tp)]
        return committed
