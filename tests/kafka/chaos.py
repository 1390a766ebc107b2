"""What a failure test is made of: worker processes that die at chosen moments, and topics compared."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.embedded import dying_with_parent

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0

Line = dict[str, Any]


@dataclass
class Process:
    """A Python process that reports on its standard output, one JSON object a line.

    `lines` holds all it has said, also after its end; other output is kept in `noise`.
    """

    arguments: Sequence[str]
    name: str = "worker"
    lines: list[Line] = field(default_factory=list, repr=False)
    noise: list[str] = field(default_factory=list, repr=False)
    _process: asyncio.subprocess.Process | None = field(default=None, repr=False)
    _reader: asyncio.Task[None] | None = field(default=None, repr=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    async def start(self) -> Self:
        """Start it and return at once."""
        self._process = await asyncio.create_subprocess_exec(
            *dying_with_parent([sys.executable, *self.arguments]),
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=1 << 26,
        )
        self._reader = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for raw in self._process.stdout:
            try:
                line = json.loads(raw)
            except ValueError:
                line = None
            if isinstance(line, dict):
                self.lines.append(line)
            else:
                self.noise.append(raw.decode(errors="replace"))
            self._news.set()
        self._news.set()

    def said(self, **wanted: Any) -> list[Line]:
        """The lines that have all these fields with these values."""
        return [line for line in self.lines if all(line.get(key) == value for key, value in wanted.items())]

    async def says(self, count: int = 1, *, patience_s: float = PATIENCE_S, **wanted: Any) -> list[Line]:
        """Wait until it has said `count` such lines, and return them."""

        async def found() -> list[Line]:
            lines = self.said(**wanted)
            if len(lines) < count and self._process is not None and self._process.returncode is not None:
                raise AssertionError(f"{self.name} ended with {self._process.returncode}: {self.tail()}")
            return lines

        return await self.until(found, lambda lines: len(lines) >= count, f"{count} x {wanted}", patience_s)

    async def until(
        self,
        ask: Callable[[], Awaitable[Any]],
        holds: Callable[[Any], bool],
        what: str,
        patience_s: float = PATIENCE_S,
    ) -> Any:
        """Ask after each news of the process, at least each 0.1 s, until the answer holds; return it."""
        answer = None
        try:
            async with asyncio.timeout(patience_s):
                while not holds(answer := await ask()):
                    self._news.clear()
                    try:
                        await asyncio.wait_for(self._news.wait(), 0.1)
                    except TimeoutError:
                        continue
        except TimeoutError:
            raise AssertionError(
                f"{self.name}: not within {patience_s:g} s: {what}; "
                f"last seen {str(answer)[-1000:]}; {self.tail()}"
            ) from None
        return answer

    async def tell(self, **message: Any) -> None:
        """Write a JSON object to its standard input."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(message).encode() + b"\n")
        await self._process.stdin.drain()

    async def kill(self) -> None:
        """End it with SIGKILL, as a crash would; what it has written is read to the end."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """End it with SIGTERM; return its exit code."""
        return await self._end(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait until it ends by itself; return its exit code."""
        return await self._end(None)

    async def _end(self, how: signal.Signals | None) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if how is not None and process.returncode is None:
            process.send_signal(how)
        try:
            async with asyncio.timeout(PATIENCE_S):
                code = await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
            cause = "by itself" if how is None else f"on {how.name}"
            raise AssertionError(f"{self.name} did not end {cause}: {self.tail()}") from None
        if self._reader is not None:
            await self._reader
        return code

    def freeze(self) -> None:
        """Stall it (SIGSTOP), as a paused machine would."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def tail(self) -> str:
        """The end of what it has said that is no JSON: its log."""
        return "".join(self.noise)[-3000:]


@contextlib.asynccontextmanager
async def processes() -> AsyncIterator[Callable[..., Awaitable[Process]]]:
    """Yield a function that starts a `Process` with the arguments given; all are killed at the end."""
    started: list[Process] = []

    async def start(*arguments: str, name: str | None = None) -> Process:
        process = Process(arguments, name or f"worker {len(started) + 1}")
        started.append(process)
        return await process.start()

    try:
        yield start
    finally:
        for process in started:
            await process.kill()


async def deaths(
    start: Callable[[], Awaitable[Process]], times: int, random: Random, *, busy: dict[str, Any], most: int
) -> list[Process]:
    """Start a process, let it work, kill it with SIGKILL, `times` times; then start one that lives, the last.

    A death comes at a random moment: after 1 to `most` lines that match `busy`, and up to 50 ms later,
    so that it hits every step between two lines.
    """
    lives = []
    for _ in range(times):
        process = await start()
        lives.append(process)
        await process.says(random.randint(1, most), **busy)
        await asyncio.sleep(random.uniform(0.0, 0.05))
        await process.kill()
    lives.append(await start())
    return lives


class Load:
    """Writes batches of `batch` records to all partitions, ten batches a second, until ended.

    The values in each partition are 0, 1, ...: those of the offsets.
    """

    def __init__(self, address: str, topic: str, partitions: int, batch: int = 10) -> None:
        self.written = 0  # in each partition
        self._partitions = range(partitions)
        self._batch = batch
        self._enough = asyncio.Event()
        self._task = asyncio.create_task(self._write(address, topic))

    async def _write(self, address: str, topic: str) -> None:
        async with AIOKafkaProducer(bootstrap_servers=address, compression_type="lz4") as producer:
            while not self._enough.is_set():
                for partition in self._partitions:
                    batch = producer.create_batch()
                    for value in range(self.written, self.written + self._batch):
                        batch.append(key=None, value=b"%d" % value, timestamp=None)
                    await (await producer.send_batch(batch, topic, partition=partition))
                self.written += self._batch
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._enough.wait(), 0.1)

    async def end(self) -> list[tuple[int, int]]:
        """Stop, and return partition and offset of all records."""
        self._enough.set()
        await self._task
        return [(partition, offset) for partition in self._partitions for offset in range(self.written)]


async def create_topics(address: str, *topics: NewTopic) -> None:
    """Create topics and wait until the brokers tell of them; fails where one is there already."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        answer = await admin.create_topics(list(topics))
        assert all(code == 0 for _, code, *_ in answer.topic_errors), answer
        async with asyncio.timeout(30):
            while {topic.name for topic in topics} - set(await admin.list_topics()):
                await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def committed(address: str, group: str, topic: str) -> dict[int, int]:
    """What the group has committed of the topic: offset by partition, without those never committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return {
        tp.partition: found.offset for tp, found in offsets.items() if tp.topic == topic and found.offset >= 0
    }


async def contents(address: str, topic: str) -> list[Any]:
    """All records of a topic from its beginning to its end as of now, in order within a partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    tps = [TopicPartition(topic, partition["partition"]) for partition in described["partitions"]]
    assert tps, f"no topic {topic}"
    async with AIOKafkaConsumer(
        bootstrap_servers=address,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=1 << 25,
    ) as consumer:
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        records: list[Any] = []
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records += batch
        return records


def differences(expected: Iterable[Any], found: Iterable[Any]) -> list[str]:
    """How two collections differ, each thing counted: an empty list where they hold the same."""
    wanted, got = Counter(expected), Counter(found)
    return [f"missing {count} x {thing!r}" for thing, count in (wanted - got).items()] + [
        f"unexpected {count} x {thing!r}" for thing, count in (got - wanted).items()
    ]
