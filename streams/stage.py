"""A stage of the pipeline: batches in, state of their partition updated, outputs written, then acknowledged.

The order is what nothing-lost rests on: outputs are written before the state that has learnt their
cause, and the state before its input is acknowledged. A crash in between replays input that some
state has learnt already; the state's own offsets or times recognise it.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import cast

import faust
from faust.streams import Stream
from faust.types import TP

from streams.delivery import Delivery
from streams.output import Output
from streams.partition import Partition, Timed
from streams.record import Record
from streams.state import BlockTable
from streams.transport import BatchMessage, Transport

log = logging.getLogger(__name__)

Observe = Callable[[str, Sequence[Output]], None]  # stage, what it wrote
Saved = Callable[[str, float, int, int], None]  # stage, seconds, blocks, bytes


class _Held:
    """A partition while this worker owns it."""

    def __init__(self, partition: Partition, delivery: Delivery) -> None:
        self.state = partition
        self.delivery = delivery
        self.lock = asyncio.Lock()
        self.done: dict[TP, int] = {}  # input processed, not yet acknowledged: offset after the last
        self.ticked = False  # changed without input


class Stage:
    """Runs one kind of partition state over the batches of its topics.

    `make` builds the state of a partition, `clock` returns Unix ms, `prefix` goes before topic names.
    `observe` is told what was written, `saved` what a checkpoint took.
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
    ) -> None:
        self.name = name
        self._app = app
        self._table = table
        self._make = make
        self._prefix = prefix
        self._clock = clock
        self._observe = observe
        self._saved = saved
        self._held: dict[int, _Held] = {}
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
        held = self._hold(message.partition)
        async with held.lock:
            if self._held.get(message.partition) is not held:
                return
            try:
                outputs = held.state.process(records, self._clock())
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
            self._observe(self.name, outputs)
            for each in outputs:
                await held.delivery.put(each)
            held.done[message.tp] = message.end

    def _hold(self, number: int) -> _Held:
        held = self._held.get(number)
        if held is None:
            state = self._make(number)
            store = self._table.store
            blocks = store.partition(number)
            state.restore(blocks, lambda key: store.cold.get(number, key))
            if blocks:
                log.info("%s: partition %d restored from %d blocks", self.name, number, len(blocks))
            held = self._held[number] = _Held(state, Delivery(self._app, self._prefix))
        return held

    async def tick(self) -> None:
        """Let time pass for the partitions that are held."""
        for number, held in list(self._held.items()):
            async with held.lock:
                if not isinstance(held.state, Timed) or self._held.get(number) is not held:
                    continue
                outputs = held.state.tick(self._clock())
                if outputs:
                    self._observe(self.name, outputs)
                    held.ticked = True
                for each in outputs:
                    await held.delivery.put(each)

    async def checkpoint(self) -> None:
        """Make everything processed so far durable, and acknowledge its input."""
        for number, held in list(self._held.items()):
            async with held.lock:  # a batch may be under way, and is part of it then
                if (held.done or held.ticked) and self._held.get(number) is held:
                    await self._save_or_crash(number, held)

    async def _save_or_crash(self, number: int, held: _Held) -> None:
        try:
            await self._save(number, held)
        except Exception as error:
            # Nothing of it is acknowledged: all comes again to a state read from the changelog.
            self._held.pop(number, None)
            await self._app.crash(error)

    async def _save(self, number: int, held: _Held) -> None:
        time = asyncio.get_running_loop().time
        began = time()
        await held.delivery.settle()
        entries = held.state.snapshot()
        await asyncio.gather(*(self._table.write(number, key, block) for key, block in entries))
        (done, held.done), held.ticked = (held.done, {}), False
        if self._held.get(number) is held:
            transport = cast(Transport, self._app.transport)
            for tp, end in done.items():
                transport.acknowledge(tp, end)
        self._saved(self.name, time() - began, len(entries), sum(len(block or b"") for _, block in entries))

    async def release(self) -> None:
        """Write everything and let go of all partitions; called before they may move to another worker."""
        self._released = self._app.consumer_generation_id
        await self.checkpoint()
        self._held.clear()
