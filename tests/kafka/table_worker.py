"""A Faust worker that counts records into a table of blocks: what durable state on the transport rests on.

Its argument is one JSON object (`Job`). Each record counts in one of `BLOCKS` blocks of its partition; a
block holds the offset that it has counted up to, so that a record that comes again counts once. It
reports the blocks that it finds when it gets a partition, and each checkpoint after its blocks are
durable and before their input is acknowledged.
"""

import asyncio
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

import faust
import msgspec
from faust.types import TP

from streams import transport
from streams.diskless import DisklessApp
from streams.state import BlockTable
from streams.transport import BatchMessage, Consumer, Transport, batch_topic
from tests.kafka.batch_worker import SETTINGS, report

BLOCKS = 3


class Job(msgspec.Struct, forbid_unknown_fields=True):
    """What to run.

    `padding` random bytes go into each block. A fetch waits up to `patience_s` for data. `busy_s`: so long
    the process has other things to do when it seeks, as on a loaded machine.
    """

    broker: str
    group: str
    topic: str
    partitions: int
    padding: int = 100
    standbys: int = 0
    checkpoint_s: float = 0.2
    patience_s: float = transport.FETCH_PATIENCE_S
    busy_s: float = 0.0


def decode(block: bytes) -> dict[str, int]:
    """The block's counters, without its padding."""
    counters: dict[str, int] = json.loads(block.split(b"\0", 1)[0])
    return counters


class BusyConsumer(Consumer):
    """Has other things to do before and after it seeks."""

    busy_s = 0.0

    async def perform_seek(self) -> None:
        await asyncio.sleep(self.busy_s)
        await super().perform_seek()

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        await super().seek_wait(partitions)
        await asyncio.sleep(self.busy_s)


class Run:
    """The job's app and the state of its partitions."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.app = DisklessApp(
            job.group,
            broker=f"tidegate://{job.broker}",
            table_standby_replicas=job.standbys,
            topic_partitions=job.partitions,
            topic_replication_factor=1,
            producer_compression_type="lz4",
            producer_max_request_size=2 << 20,
            **SETTINGS,
        )
        # Faust would hold a thousand changelog records before the table gets them, a standby for good.
        self.table = BlockTable(
            self.app, name="counts", partitions=job.partitions, recovery_buffer_size=8, standby_buffer_size=1
        )
        self.app.tables.add(self.table)
        self.read: Counter[int] = Counter()
        self.apply = self.table.store.apply_changelog_batch
        self.table.store.apply_changelog_batch = self.count_read
        self.held: dict[int, dict[int, dict[str, int]]] = {}
        self.ends: dict[TP, int] = {}
        self.changed: set[tuple[int, int]] = set()
        self.lock = asyncio.Lock()
        self.generation = -1
        self.transport.release = self.release
        self.app.agent(batch_topic(self.app, job.topic))(self.agent)
        self.app.timer(interval=job.checkpoint_s)(self.checkpoint)
        self.app.timer(interval=0.1)(self.look)
        self.app.on_partitions_assigned.connect(self.assigned)

    @property
    def transport(self) -> Transport:
        """The app's transport."""
        assert isinstance(self.app.transport, Transport)
        return self.app.transport

    async def agent(self, stream: Any) -> None:
        """Count batches for ever."""
        async for event in stream.noack().events():
            message = event.message
            assert isinstance(message, BatchMessage)
            async with self.lock:
                if message.generation_id is not None and message.generation_id > self.generation:
                    await self.hold(message.partition)
                    self.count(message, event.value)

    async def hold(self, number: int) -> None:
        """Take over a partition that is not held yet."""
        if number not in self.held:
            await self.table.own(number)
            found = {int(key): decode(block) for key, block in self.table.store.partition(number).items()}
            epoch = self.table.store.epoch(number)
            report(kind="restored", partition=number, blocks=found, epoch=epoch, read=self.read[number])
            self.held[number] = {key: found.get(key, {"count": 0, "end": 0}) for key in range(BLOCKS)}

    def count_read(self, batch: Any, **how: Any) -> None:
        """Let the table take over records of its changelog, and count them by partition."""
        events = list(batch)
        self.read.update(event.message.partition for event in events)
        self.apply(events, **how)

    def count(self, message: BatchMessage, records: Any) -> None:
        """Count each record once, also where it comes again."""
        number = message.partition
        blocks = self.held[number]
        for record in records:
            key = int(record.value) % BLOCKS
            if record.offset >= blocks[key]["end"]:
                blocks[key] = {"count": blocks[key]["count"] + 1, "end": record.offset + 1}
                self.changed.add((number, key))
        self.ends[message.tp] = message.end

    async def checkpoint(self) -> None:
        """Write what has changed, wait until it is durable, and acknowledge its input."""
        async with self.lock:
            changed, self.changed = self.changed, set()
            for number in {number for number, _ in changed}:
                keys = [key for each, key in sorted(changed) if each == number]
                await self.table.write(number, [(b"%d" % key, self.block(number, key)) for key in keys])
            for tp, end in self.ends.items():
                report(kind="durable", partition=tp.partition, end=end, counts=self.counts(tp.partition))
                self.transport.acknowledge(tp, end)
            self.ends.clear()

    def block(self, number: int, key: int) -> bytes:
        """A block as it is written."""
        return json.dumps(self.held[number][key]).encode() + b"\0" + os.urandom(self.job.padding)

    def counts(self, number: int) -> int:
        """Records counted in a partition."""
        return sum(block["count"] for block in self.held[number].values())

    async def release(self) -> None:
        """Make all durable and let go."""
        await self.checkpoint()
        self.generation = self.app.consumer_generation_id
        self.held.clear()

    async def assigned(self, sender: Any, assigned: set[TP], **_: Any) -> None:
        """Report the partitions that the worker has got."""
        numbers = sorted(tp.partition for tp in assigned if tp.topic == self.job.topic)
        report(kind="assigned", partitions=numbers)

    async def look(self) -> None:
        """Report what the table holds of partitions that are not this worker's: its standbys."""
        for number in range(self.job.partitions):
            if number not in self.held:
                found = {int(key): decode(block) for key, block in self.table.store.partition(number).items()}
                if found:
                    counts = sum(block["count"] for block in found.values())
                    report(kind="standby", partition=number, counts=counts, blocks=len(found))


def main() -> None:
    """Run the job until SIGTERM."""
    job = msgspec.json.decode(sys.argv[1], type=Job)
    transport.FETCH_PATIENCE_S = job.patience_s
    BusyConsumer.busy_s = job.busy_s
    Transport.Consumer = BusyConsumer
    run = Run(job)
    faust.Worker(run.app, loglevel="WARN", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
