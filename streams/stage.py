"""A stage of the pipeline: batches in, state of their partition updated, outputs written, then acknowledged.

The order is what nothing-lost rests on: outputs are written before the state that has learnt their
cause, and the state before its input is acknowledged. A crash in between replays input that some
state has learnt already; the state's own offsets or times recognise it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import faust
from faust.streams import Stream
from faust.types import TP

from streams.delivery import Delivery
from streams.output import Output
from streams.partition import Holding, Partition, Placing
from streams.record import Record
from streams.state import BlockTable
from streams.transport import BatchMessage, Transport

log = logging.getLogger(__name__)

BLOCKS_AT_ONCE = 2  # about a millisecond's work
BLOCKS_IN_HASTE = 64

Observe = Callable[[str, Sequence[Output]], None]  # stage, what it wrote
Saved = Callable[[str, float, int, int], None]  # stage, seconds, blocks, bytes


class _Snapshot(NamedTuple):
    """What is to be written, the input processed before it, and up to where that is durable then."""

    entries: list[tuple[bytes, bytes | None]]
    done: dict[TP, int]
    durable: int | None


class _Held:
    """A partition while this worker owns it."""

    def __init__(self, partition: Partition, delivery: Delivery) -> None:
        self.state = partition
        self.delivery = delivery
        self.lock = asyncio.Lock()  # over a batch and its outputs
        self.saving = asyncio.Lock()
        self.snapshot: _Snapshot | None = None  # taken and not yet written
        self.done: dict[TP, int] = {}  # input processed, not yet acknowledged: offset after the last
        self.ticked = False  # changed without input


class Stage:
    """Runs one kind of partition state over the batches of its topics.

    `make` builds the state of a partition, `clock` returns Unix ms, `prefix` goes before topic names.
    `observe` is told what was written, `saved` what a checkpoint took. State is written at no more than
    `write_bytes_per_s`, but all of it at once where partitions move. `source` is the plain name of the
    topic by whose partitions the state is parted; records of `control`, where it is named, are given a place
    among its records (see `streams.controls`).
    """

    def __init__(
        self,
        app: faust.App,
        *,
        name: str,
        table: BlockTable,
        make: Callable[[int], Partition],
        prefix: str,
        clock: Callable[[], int],
        observe: Observe,
        saved: Saved,
        write_bytes_per_s: float,
        source: str,
        control: str | None = None,
    ) -> None:
        self.name = name
        self._app = app
        self._table = table
        self._make = make
        self._prefix = prefix
        self._clock = clock
        self._observe = observe
        self._saved = saved
        self._write_bytes_per_s = write_bytes_per_s
        self._source = prefix + source
        self._control = None if control is None else prefix + control
        self._held: dict[int, _Held] = {}
        self._restoring = asyncio.Lock()
        self._released = -1  # group generation whose batches no longer count here

    @property
    def partitions(self) -> dict[int, Partition]:
        """The states that this worker holds now, by partition."""
        return {number: held.state for number, held in self._held.items()}

    async def run(self, stream: Stream[Sequence[Record]]) -> None:
        """The agent: take each batch of the stream, for ever."""
        async for event in stream.noack().events():
            message = event.message
            assert isinstance(message, BatchMessage)  # noqa: S101
            await self._take(message, cast(Sequence[Record], event.value))

    async def _take(self, message: BatchMessage, records: Sequence[Record]) -> None:
        if message.generation_id is not None and message.generation_id <= self._released:
            return  # from before a rebalance; the partition's owner gets the batch again
        held = await self._hold(message.partition)
        if held is None:
            return
        end = await self._end(message.partition) if message.topic == self._control else None
        async with held.lock:
            if self._held.get(message.partition) is not held:
                return
            try:
                if end is None:
                    outputs = held.state.process(records, self._clock())
                else:
                    outputs = await self._place(message.partition, held, records, end)
            except Exception as error:
                # Bad input is dealt with inside. This is a fault of the program, and what it left in memory
                # is not to be trusted: stop; the batch comes again to a state read from the changelog.
                log.critical(
                    "%s: %s, offsets %d to %d cannot be processed",
                    self.name, message.tp, records[0].offset, records[-1].offset, exc_info=True,
                )  # fmt: skip
                self._held.pop(message.partition)
                await self._app.crash(error)
                return
            await self._put(held, outputs)
            held.done[message.tp] = message.end

    async def _put(self, held: _Held, outputs: Sequence[Output]) -> None:
        self._observe(self.name, outputs)
        for each in outputs:
            await held.delivery.put(each)

    async def _end(self, partition: int) -> int:
        """The offset after the last record that the source has in this partition now."""
        tp = TP(self._source, partition)
        return int((await self._app.consumer.highwaters(tp))[tp])

    async def _place(self, number: int, held: _Held, records: Sequence[Record], end: int) -> list[Output]:
        """Give controls their place, make it durable, and apply what is due."""
        state = cast(Placing, held.state)
        outputs = state.place(records, end)
        await self._table.write(number, state.placed())
        held.ticked = True
        return outputs + state.due()

    async def _hold(self, number: int) -> _Held | None:
        """The state of a partition, restored where it is not held yet; None where it is too late for that."""
        async with self._restoring:
            held = self._held.get(number)
            if held is None:
                generation = self._app.consumer_generation_id
                try:
                    await self._table.own(number)
                except Exception as error:
                    await self._app.crash(error)
                    return None
                if generation <= self._released:
                    return None
                held = self._held[number] = self._restore(number)
            return held

    def _restore(self, number: int) -> _Held:
        state = self._make(number)
        store = self._table.store
        blocks = store.partition(number)
        state.restore(blocks, lambda key: store.cold.get(number, key))
        if blocks:
            log.info("%s: partition %d restored from %d blocks", self.name, number, len(blocks))
        transport = cast(Transport, self._app.transport)
        committed = transport.committed_end(TP(self._source, number))
        if self._control is not None and committed is not None:
            cast(Placing, state).resume(committed)
        if isinstance(state, Holding):
            store.blocks(number).lend(state.holds)
        held = _Held(state, Delivery(self._app, self._prefix))
        held.ticked = state.changed() > 0  # blocks that are to be written anew
        return held

    def touch(self, partition: Partition) -> None:
        """Note that a partition's state has changed without input; it is written with the next checkpoint."""
        for held in self._held.values():
            if held.state is partition:
                held.ticked = True

    async def tick(self) -> None:
        """Let time pass in all partitions of this worker, also where nothing has come yet."""
        if self._app.rebalancing or self._app.in_recovery:
            return
        if self._app.consumer_generation_id <= self._released:
            return
        assigned = self._app.consumer.assignment()
        for number in sorted(tp.partition for tp in assigned if tp.topic == self._source):
            held = await self._hold(number)
            if held is None:
                return
            async with held.lock:
                if self._held.get(number) is not held:
                    continue
                outputs = held.state.tick(self._clock())
                held.ticked |= bool(outputs)
                await self._put(held, outputs)

    async def save(self) -> None:
        """Write what has changed, a few blocks at a time, so that samples need not wait for large states."""
        for number, held in list(self._held.items()):
            for _ in range(max(1, -(-held.state.changed() // BLOCKS_AT_ONCE))):
                written = await self._save_or_crash(number, held, most=BLOCKS_AT_ONCE)
                await asyncio.sleep(written / self._write_bytes_per_s)

    async def checkpoint(self) -> None:
        """Make everything processed so far durable, and acknowledge its input."""
        for number, held in list(self._held.items()):
            for _ in range(held.state.changed() // BLOCKS_IN_HASTE):  # no more of them in memory twice
                await self._save_or_crash(number, held, most=BLOCKS_IN_HASTE)
            await self._save_or_crash(number, held)

    async def _save_or_crash(self, number: int, held: _Held, most: int | None = None) -> int:
        try:
            async with held.saving:
                return await self._save(number, held, most)
        except Exception as error:
            # Nothing of it is acknowledged: all comes again to a state read from the changelog.
            self._held.pop(number, None)
            await self._app.crash(error)
            return 0

    async def _save(self, number: int, held: _Held, most: int | None) -> int:
        """Write at most so many blocks, acknowledge the input that is durable then; returns bytes written."""
        if held.snapshot is not None:  # its writing was cancelled
            await self._write(number, held, held.snapshot)
        async with held.lock:  # a batch may be under way, and is part of it then
            if self._held.get(number) is not held or not (held.done or held.ticked):
                return 0
            entries = held.state.snapshot(most)
            held.ticked &= held.state.changed() > 0
            held.snapshot = _Snapshot(entries, dict(held.done), held.state.durable)
        await self._write(number, held, held.snapshot)
        return sum(len(block or b"") for _, block in entries)

    async def _write(self, number: int, held: _Held, snapshot: _Snapshot) -> None:
        time = asyncio.get_running_loop().time
        began = time()
        await held.delivery.settle()  # what the snapshot has learnt from has led to these outputs
        await self._table.write(number, snapshot.entries)
        held.snapshot = None
        if self._held.get(number) is held:
            transport = cast(Transport, self._app.transport)
            durable = snapshot.durable
            for tp, end in snapshot.done.items():
                if durable is not None and tp.topic != self._control:  # controls are durable with their place
                    transport.acknowledge(tp, min(end, durable + 1))
                    continue
                transport.acknowledge(tp, end)
                if held.done.get(tp) == end:
                    del held.done[tp]
        size = sum(len(block or b"") for _, block in snapshot.entries)
        self._saved(self.name, time() - began, len(snapshot.entries), size)

    async def release(self) -> None:
        """Write everything and let go of all partitions; called before they may move to another worker."""
        self._released = self._app.consumer_generation_id
        await self.checkpoint()
        while self._held:
            number, held = self._held.popitem()
            if isinstance(held.state, Holding) and not self._app.should_stop:
                self._table.store.blocks(number).take_back(held.state.block)
