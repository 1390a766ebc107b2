"""Durable state: a Faust table whose values are blocks of rows, one changelog per stage."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Any

import faust
from faust.stores.memory import Store
from faust.tables.table import Table
from faust.types import TP, EventT, FutureMessage

from streams.cold import ColdStore
from streams.epochs import OWNER, Newest, tagged
from streams.partition import COLD

log = logging.getLogger("faust.tables.blocks")  # beside those of Faust's own tables, which tell every step


class NotOwnedError(RuntimeError):
    """A partition is to be written to that another worker may own; the text names it."""


class Blocks(Newest):
    """The blocks of one partition, those under `COLD` on disk."""

    def __init__(self, cold: ColdStore, partition: int) -> None:
        super().__init__()
        self._cold = cold
        self._partition = partition
        self._lent: Callable[[bytes], bool] = lambda key: False

    def lend(self, lent: Callable[[bytes], bool]) -> None:
        """Leave blocks to the partition's state, which has them in memory: those whose keys `lent` accepts.

        They are written and outdone as before; only their bytes are not kept twice.
        """
        self._lent = lent
        for key in [key for key in self.blocks if lent(key)]:
            del self.blocks[key]

    def take_back(self, block: Callable[[bytes], bytes]) -> None:
        """Keep the lent blocks again, each as `block` returns it by its key."""
        self._lent = lambda key: False
        for key in self._epochs.keys() - self.blocks.keys():
            self.blocks[key] = block(key)

    def epoch(self, key: bytes) -> int | None:
        if key.startswith(COLD):
            return self._cold.epoch(self._partition, key)
        return super().epoch(key)

    def _keep(self, key: bytes, epoch: int, value: bytes) -> None:
        if key.startswith(COLD):
            self._cold.put(self._partition, key, epoch, value)
        elif self._lent(key):
            self._epochs[key] = epoch
        else:
            super()._keep(key, epoch, value)

    def _remove(self, key: bytes) -> None:
        if key.startswith(COLD):
            self._cold.delete(self._partition, key)
        else:
            super()._remove(key)


class BlockStore(Store[bytes, bytes]):
    """Blocks by source partition, in memory; the changelog topic is what makes them durable.

    Faust's own memory store forgets the offset it has read to, so each rebalance would read the whole
    changelog again; and it drops what a standby has gathered. This one keeps both. Keys that begin with
    `COLD` are kept on disk.

    What a worker has written itself is good only as long as nobody else can have owned the partition: while
    the worker is a member of one generation of the group after the other. Where it has missed one, the
    partition is read anew.
    """

    logger = log

    def __post_init__(self) -> None:
        super().__post_init__()
        self._partitions: dict[int, Blocks] = {}
        self._read: dict[TP, int] = {}
        self._generation = -1
        self._epochs: dict[int, int] = {}  # by partition that this worker has written to in this generation
        self._told = False
        self.cold = ColdStore()

    async def on_stop(self) -> None:
        """Remove what is on disk; the changelog has it."""
        self.cold.close()

    def blocks(self, partition: int) -> Blocks:
        """All of one partition."""
        if partition not in self._partitions:
            self._partitions[partition] = Blocks(self.cold, partition)
        return self._partitions[partition]

    def partition(self, partition: int) -> dict[bytes, bytes]:
        """The blocks of one partition, by key, those on disk aside."""
        return self.blocks(partition).blocks

    @property
    def generation(self) -> int:
        """The group's generation that this worker knows of."""
        return self._generation

    def own(self, tp: TP, epoch: int) -> None:
        """Note that this worker writes to the partition under `epoch` from now on."""
        self._epochs[tp.partition] = epoch
        self.set_persisted_offset(tp, epoch)

    def epoch(self, partition: int) -> int | None:
        """The epoch under which this worker writes to the partition now, None where it may not."""
        return self._epochs.get(partition)

    def apply_changelog_batch(
        self, batch: Iterable[EventT[Any]], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Take over records of the changelog, read in recovery or by a standby."""
        for event in batch:
            message, key = event.message, event.message.key
            try:
                self.blocks(message.partition).apply(key or b"", message.value)
            except ValueError as error:
                if not self._told:
                    self._told = True
                    log.warning("%s: state that does not fit is learnt anew: %s", message.tp, error)
            self.set_persisted_offset(message.tp, message.offset)

    def persisted_offset(self, tp: TP) -> int:
        """Offset of the last changelog record that the blocks contain, -1 where there is none.

        Never None, which to Faust means the offset that it knows from before.
        """
        return self._read.get(tp, -1)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Note that the blocks contain the changelog up to `offset`."""
        self._read[tp] = max(offset, self._read.get(tp, -1))

    async def on_rebalance(
        self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0
    ) -> None:
        """Forget what others may have written to since; end the epochs of all partitions."""
        if generation_id != self._generation + 1:
            self._forget(self._epochs.keys())
        self._epochs.clear()
        self._generation = generation_id

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Forget the partitions that are neither active nor standby here."""
        held = {tp.partition for tp in active_tps | standby_tps}
        self._forget(self._partitions.keys() - held)

    def _forget(self, partitions: Set[int]) -> None:
        for partition in list(partitions):
            self._partitions.pop(partition, None)
            self.cold.forget(partition)
        self._read = {tp: offset for tp, offset in self._read.items() if tp.partition not in partitions}


class BlockTable(Table[bytes, bytes]):
    """A Faust table of blocks: written per partition from outside a stream, restored per partition."""

    logger = log

    def __init__(self, app: faust.App, **options: Any) -> None:
        super().__init__(app, key_type=bytes, value_type=bytes, **options)

    def _new_store(self) -> BlockStore:
        return BlockStore(
            "memory://",
            self.app,
            self,
            table_name=self.name,
            key_type=self.key_type,
            key_serializer=self.key_serializer,
            value_serializer=self.value_serializer,
            value_type=self.value_type,
        )

    @property
    def store(self) -> BlockStore:
        """The blocks themselves."""
        store = self.data
        assert isinstance(store, BlockStore)  # noqa: S101
        return store

    async def own(self, partition: int) -> None:
        """Begin to write to a partition that this worker has just got, under an epoch of its own.

        Raises:
            KafkaError: the brokers do not take what says so.
        """
        generation = self.store.generation
        written = await self.send_changelog(partition, OWNER, b"")
        if self.store.generation == generation:
            self.store.own(written.topic_partition, written.offset)

    async def write(self, partition: int, entries: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Write blocks, or forget them (None), and return when that is durable.

        Blocks under `COLD` are written first, and what is forgotten goes last: a series that moves between
        the two kinds is never in none of them.

        Raises:
            NotOwnedError: the partition has moved on since this worker owned it.
            KafkaError: it is not durable.
        """
        epoch = self.store.epoch(partition)
        if epoch is None:
            raise NotOwnedError(f"{self.name}: partition {partition} is not this worker's to write to")
        blocks = self.store.blocks(partition)
        present = [(key, value) for key, value in entries if value is not None]
        cold = [(key, value) for key, value in present if key.startswith(COLD)]
        warm = [(key, value) for key, value in present if not key.startswith(COLD)]
        for part in (cold, warm):
            for key, value in part:
                blocks.put(key, epoch, value)
            await self._send(partition, epoch, [(tagged(epoch, key), value) for key, value in part])
        for key, gone in entries:
            if gone is None:
                blocks.drop(key)
        stale, blocks.stale = blocks.stale, set()
        await self._send(partition, epoch, [(key, None) for key in stale])

    async def _send(self, partition: int, epoch: int, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        sent = [self.send_changelog(partition, key, value) for key, value in records]
        written = await asyncio.gather(*sent)
        if written and self.store.epoch(partition) == epoch:
            self.store.set_persisted_offset(written[-1].topic_partition, written[-1].offset)

    def _on_changelog_sent(self, fut: FutureMessage) -> None:
        """Nothing: what is written counts as read only under an epoch that still holds."""


def block_table(app: faust.App, name: str, partitions: int) -> BlockTable:
    """Declare a table of blocks of `app`; call it before the app starts."""
    # Faust holds back a thousand records of a changelog by default: far too much where each is a block, and a
    # standby would not take over fewer at all.
    table = BlockTable(app, name=name, partitions=partitions, recovery_buffer_size=8, standby_buffer_size=1)
    app.tables.add(table)
    return table
