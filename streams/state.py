"""Durable state: a Faust table whose values are blocks of rows, one changelog per stage."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import faust
from faust.stores.memory import Store
from faust.tables.table import Table
from faust.types import TP, EventT, FutureMessage

from streams.cold import ColdStore
from streams.partition import COLD

log = logging.getLogger("faust.tables.blocks")  # beside those of Faust's own tables, which tell every step


class BlockStore(Store[bytes, bytes]):
    """Blocks by source partition, in memory; the changelog topic is what makes them durable.

    Faust's own memory store forgets the offset it has read to, so each rebalance would read the whole
    changelog again; and it drops what a standby has gathered. This one keeps both. Keys that begin with
    `COLD` are kept on disk.
    """

    logger = log

    def __post_init__(self) -> None:
        super().__post_init__()
        self._blocks: dict[int, dict[bytes, bytes]] = {}
        self._read: dict[TP, int] = {}
        self.cold = ColdStore()

    async def on_stop(self) -> None:
        """Remove what is on disk; the changelog has it."""
        self.cold.close()

    def partition(self, partition: int) -> dict[bytes, bytes]:
        """The blocks of one partition, by key, those on disk aside."""
        return self._blocks.setdefault(partition, {})

    def put(self, partition: int, key: bytes, value: bytes | None) -> None:
        """Keep a block, or forget it (None)."""
        if key.startswith(COLD):
            if value is None:
                self.cold.delete(partition, key)
            else:
                self.cold.put(partition, key, value)
        elif value is None:
            self.partition(partition).pop(key, None)
        else:
            self.partition(partition)[key] = value

    def apply_changelog_batch(
        self, batch: Iterable[EventT[Any]], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Take over records of the changelog, read in recovery or by a standby."""
        for event in batch:
            message, key = event.message, event.message.key
            assert key is not None  # noqa: S101 - only `write` writes there
            self.put(message.partition, key, message.value)
            self.set_persisted_offset(message.tp, message.offset)

    def persisted_offset(self, tp: TP) -> int | None:
        """Offset of the last changelog record that the blocks contain, None where there is none."""
        return self._read.get(tp)

    def set_persisted_offset(self, tp: TP, offset: int) -> None:
        """Note that the blocks contain the changelog up to `offset`."""
        self._read[tp] = max(offset, self._read.get(tp, -1))

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """Forget the partitions that are neither active nor standby here."""
        held = {tp.partition for tp in active_tps | standby_tps}
        for partition in self._blocks.keys() - held:
            del self._blocks[partition]
            self.cold.forget(partition)
        for tp in [tp for tp in self._read if tp.partition not in held]:
            del self._read[tp]


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

    def write(self, partition: int, key: bytes, value: bytes | None) -> FutureMessage:
        """Write a block, or a tombstone for it (None); it is durable when the returned future is done."""
        self.store.put(partition, key, value)
        return self.send_changelog(partition, key, value)


def block_table(app: faust.App, name: str, partitions: int) -> BlockTable:
    """Declare a table of blocks of `app`; call it before the app starts."""
    # Faust holds back a thousand records of a changelog by default: far too much where each is a block, and a
    # standby would not take over fewer at all.
    table = BlockTable(app, name=name, partitions=partitions, recovery_buffer_size=8, standby_buffer_size=1)
    app.tables.add(table)
    return table
