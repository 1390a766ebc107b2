"""A Faust worker on the batch transport, as small as can be: the process that the transport's tests drive.

Its arguments are one JSON object (`Job`). It reports one JSON object a line: each batch after it has been
processed, each commit before it is sent, and the answers to what it is told on standard input:
`{"ack": N}` acknowledges the batch it numbered N, `{"below": [PARTITION, END]}` all below an offset,
`{"commit": true}` commits, `{"go": true}` ends a stall, `{"seek": true}` starts again from what is
committed as the end of a recovery does, `{"rebalance": true}` the same with a fetch under way that is cut
off as by a rebalance, `{"trouble": NAME}` pushes that Kafka error to the consumer the way its group
coordination does.
"""

import asyncio
import json
import resource
import sys
import time
from collections.abc import Awaitable, Mapping
from random import Random
from typing import Any

import aiokafka.errors
import faust
import msgspec
from faust.types import TP

from streams.diskless import DisklessApp
from streams.transport import BatchMessage, Consumer, ConsumerThread, Transport, batch_topic


class Job(msgspec.Struct, forbid_unknown_fields=True):
    """What to run. `stall_at` N: processing the batch numbered N does not end until told to go.

    `late_s`: batches are not acknowledged by the stream, but together, every so many seconds and before
    partitions are given up; None: by the stream, each when processed; negative: only when told.
    `linger_s`: processing a batch takes a random time up to this. `fetch_takes_s`: a fetch begins so late.
    """

    broker: str
    group: str
    topic: str
    records_per_poll: int = 8192
    stall_at: int | None = None
    late_s: float | None = None
    linger_s: float = 0.0
    commit_takes_s: float = 0.0
    fetch_takes_s: float = 0.0
    values: bool = True
    settings: dict[str, Any] = {}


SETTINGS: dict[str, Any] = {
    "broker_commit_interval": 0.2,
    "broker_session_timeout": 3.0,
    "broker_heartbeat_interval": 0.5,
    "broker_rebalance_timeout": 10.0,
    "consumer_auto_offset_reset": "earliest",
    "stream_wait_empty": True,
    "topic_disable_leader": True,
    "web_enabled": False,
}


def report(**line: Any) -> None:
    """Write a line with the time, comparable between processes of one machine."""
    sys.stdout.write("\n" + json.dumps({"t": time.monotonic_ns(), **line}) + "\n")
    sys.stdout.flush()


def report_memory() -> None:
    """Report the most memory that the process has had so far, in bytes."""
    report(kind="memory", peak=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def text(data: bytes | None) -> str | None:
    """Bytes as JSON can hold them."""
    return None if data is None else data.decode()


class SlowThread(ConsumerThread):
    """Takes its time before each fetch."""

    slow_s = 0.0
    waiting = False

    async def _fetch_records(self, *args: Any, **options: Any) -> Any:
        self.waiting = True
        await asyncio.sleep(self.slow_s)
        self.waiting = False
        return await super()._fetch_records(*args, **options)


class ReportingConsumer(Consumer):
    """Tells of each commit before it is sent, and takes its time."""

    slow_s = 0.0

    def _new_consumer_thread(self) -> ConsumerThread:
        return SlowThread(self, loop=self.loop, beacon=self.beacon)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        for tp, offset in offsets.items():
            report(kind="commit", topic=tp.topic, partition=tp.partition, end=offset)
        await asyncio.sleep(self.slow_s)
        return await super()._commit(offsets)


class Run:
    """The job's app, and what its agent has done."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.app = app = DisklessApp(
            job.group, broker=f"tidegate://{job.broker}", **(SETTINGS | job.settings)
        )
        self.go = asyncio.Event()
        self.random = Random(job.group)
        self.processing = asyncio.Lock()
        self.events: list[Any] = []
        self.ends: dict[TP, int] = {}
        self.transport.records_per_poll = job.records_per_poll
        app.agent(batch_topic(app, job.topic))(self.agent)
        app.task(self.obey)
        if job.late_s is not None and job.late_s >= 0:
            self.transport.release = self.acknowledge
            app.timer(interval=job.late_s)(self.acknowledge)
        app.on_partitions_assigned.connect(self.assigned)

    @property
    def transport(self) -> Transport:
        """The app's transport."""
        assert isinstance(self.app.transport, Transport)
        return self.app.transport

    async def agent(self, stream: Any) -> None:
        """Take batches for ever."""
        if self.job.late_s is not None:
            stream = stream.noack()
        async for event in stream.events():
            async with self.processing:
                await self.process(event)

    async def process(self, event: Any) -> None:
        """Take as long as the job says, and report before and after."""
        job, message, records = self.job, event.message, event.value
        assert isinstance(message, BatchMessage)
        number = len(self.events)
        self.events.append(event if job.late_s is not None and job.late_s < 0 else None)
        place = {"number": number, "partition": message.partition}
        report(kind="taken", first=message.offset, end=message.end, **place)
        if number == job.stall_at:
            await self.go.wait()
        if job.linger_s:
            await asyncio.sleep(self.random.uniform(0, job.linger_s))
        said: dict[str, Any] = {"bytes": sum(len(record.value or b"") for record in records)}
        if job.values:
            said["values"] = [text(record.value) for record in records]
            said["keys"] = [text(record.key) for record in records]
        report(kind="done", offsets=[record.offset for record in records], **said, **place)
        self.ends[message.tp] = message.end

    async def acknowledge(self) -> None:
        """Acknowledge what has been processed so far, once nothing is being processed."""
        async with self.processing:
            for tp, end in self.ends.items():
                self.transport.acknowledge(tp, end)
            self.ends.clear()

    async def obey(self) -> None:
        """Do what standard input says."""
        reader = asyncio.StreamReader()
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        async for raw in reader:
            order = json.loads(raw)
            if "ack" in order:
                report(kind="acked", number=order["ack"], last=self.events[order["ack"]].ack())
            if "below" in order:
                partition, end = order["below"]
                self.transport.acknowledge(TP(self.job.topic, partition), end)
            if "commit" in order:
                await self.app.consumer.commit()
                report(kind="committed")
            if "memory" in order:
                report_memory()
            if "trouble" in order:
                thread = self.app.consumer._thread
                error = getattr(aiokafka.errors, order["trouble"])("trouble")
                told = thread._consumer._coordinator._push_error_to_user(error)
                asyncio.run_coroutine_threadsafe(self.until_consumed(told), thread.thread_loop)
            if "seek" in order:
                await self.app.consumer.perform_seek()
                self.app.consumer.resume_flow()
                report(kind="sought")
            if "rebalance" in order:
                while not self.app.consumer._thread.waiting:
                    await asyncio.sleep(0.001)
                await self.app._stop_fetcher()
                await self.app.consumer.perform_seek()
                self.app.consumer.resume_flow()
                await self.app._fetcher.maybe_start()
                report(kind="sought")
            if "go" in order:
                self.go.set()

    async def until_consumed(self, told: Awaitable[Any]) -> None:
        """Report when the consumer has taken note of an error of its group."""
        await told
        report(kind="consumed")

    async def assigned(self, sender: Any, assigned: set[TP], **_: Any) -> None:
        """Report the partitions that the worker has got."""
        report(
            kind="assigned", partitions=sorted(tp.partition for tp in assigned if tp.topic == self.job.topic)
        )


def main() -> None:
    """Run the job until SIGTERM."""
    Transport.Consumer = ReportingConsumer
    report_memory()
    job = msgspec.json.decode(sys.argv[1], type=Job)
    ReportingConsumer.slow_s, SlowThread.slow_s = job.commit_takes_s, job.fetch_takes_s
    run = Run(job)
    faust.Worker(run.app, loglevel="WARN", redirect_stdouts=False, quiet=True).execute_from_commandline()


if __name__ == "__main__":
    main()
