"""The real worker as a process, on real Kafka and Redis, and what the tests ask of both."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import ConsumerRecord

from schemas import (
    Alert,
    Anomaly,
    Command,
    DeadLetter,
    Forecast,
    Incident,
    Outcome,
    ReleaseChange,
    decode,
)
from streams.config import parse
from streams.topics import MAX_RECORD_BYTES
from tests.kafka.broker import Cluster

ROOT = Path(__file__).parents[2]
PATIENCE_S = 90.0

T = TypeVar("T")

KINDS: dict[str, Any] = {
    "anomalies": Anomaly,
    "alerts": Alert | Incident,
    "forecasts": Forecast,
    "commands": Command,
    "outcomes": Outcome,
    "releases": ReleaseChange,
    "dead-letters": DeadLetter,
}


async def until(
    ask: Callable[[], Awaitable[T]],
    holds: Callable[[T], object],
    *,
    what: str,
    patience_s: float = PATIENCE_S,
) -> T:
    """Ask again and again until the answer holds; return it. A deadline turns a hang into a failure."""
    answer: T | None = None
    try:
        async with asyncio.timeout(patience_s):
            while not holds(answer := await ask()):
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(
            f"{what}: not within {patience_s:g} s; last seen: {str(answer)[-3000:]}"
        ) from None
    return answer


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One worker configuration as a file: `toml` is added to what every worker of these tests needs."""

    path: Path
    kafka: str
    redis: str
    prefix: str
    partitions: int = 2
    replication: int = 1
    checkpoint_s: float = 0.3
    session_timeout_s: float = 6.0
    block_rows: int = 4
    toml: str = ""

    def write(self) -> Self:
        """Write the file; it must be a valid configuration."""
        self.path.write_text(self.text)
        parse(self.text, str(self.path))
        return self

    @property
    def text(self) -> str:
        """The file's content."""
        brokers = ", ".join(f'"{address}"' for address in self.kafka.split(","))
        return f"""
[kafka]
brokers = [{brokers}]
group = "{self.prefix}workers"
prefix = "{self.prefix}"
partitions = {self.partitions}
replication = {self.replication}
session_timeout_s = {self.session_timeout_s}

[ledger]
url = "{self.redis}"
namespace = "{self.prefix}ledger"

[state]
checkpoint_s = {self.checkpoint_s}
block_rows = {self.block_rows}

[telemetry]
port = 0

{self.toml}
"""

    def topic(self, name: str) -> str:
        """The topic's full name."""
        return self.prefix + name


@dataclass
class WorkerProcess:
    """`tidegate worker -c FILE`; what it says goes to `log`."""

    setting: Setting
    log: Path
    roles: str = "detect,plan,act"
    environ: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> Self:
        """Start the process and return at once."""
        command = [
            sys.executable,
            "-m",
            "streams",
            "worker",
            "-c",
            str(self.setting.path),
            "--roles",
            self.roles,
        ]
        environ = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        environ |= {"COLUMNS": "400", **self.environ}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=environ,
            )
        return self

    @property
    def text(self) -> str:
        """What it has said so far, on one line per message."""
        return self.log.read_text(errors="replace")

    async def says(self, pattern: str, times: int = 1, *, patience_s: float = PATIENCE_S) -> str:
        """Wait until it has said something that matches `pattern`; return all it said."""

        async def ask() -> str:
            if (
                self.process is not None
                and self.process.poll() is not None
                and not self._matches(pattern, times)
            ):
                raise AssertionError(f"the worker ended with {self.process.returncode}: {self.text[-4000:]}")
            return self.text

        return await until(
            ask,
            lambda _: self._matches(pattern, times),
            what=f"worker says {pattern!r}",
            patience_s=patience_s,
        )

    def _matches(self, pattern: str, times: int) -> bool:
        return len(re.findall(pattern, self.text)) >= times

    async def ready(self) -> Self:
        """Wait until it has its partitions and their state."""
        await self.says("the worker is ready")
        return self

    async def ended(self, patience_s: float = PATIENCE_S) -> int:
        """Wait until it has ended; return its exit code."""
        process = self.process
        assert process is not None

        async def ask() -> int | None:
            return process.poll()

        code = await until(
            ask,
            lambda code: code is not None,
            what=f"worker ends: {self.text[-3000:]}",
            patience_s=patience_s,
        )
        assert code is not None
        self.process = None
        return code

    async def stop(self) -> int:
        """End it in order (SIGTERM); return its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return await self.ended()

    def freeze(self) -> None:
        """Stall it (SIGSTOP), as a paused machine would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()


async def produce(address: str, topic: str, values: Iterable[tuple[str, bytes] | bytes]) -> None:
    """Write records in order, each once, whatever the brokers do; a value alone has the key `k`."""
    async with AIOKafkaProducer(
        bootstrap_servers=address, linger_ms=5, max_request_size=MAX_RECORD_BYTES, enable_idempotence=True
    ) as producer:
        sent = []
        for value in values:
            key, payload = value if isinstance(value, tuple) else ("k", value)
            sent.append(await producer.send(topic, payload, key=key.encode()))
        await asyncio.gather(*sent)


async def records(address: str, topic: str, *, committed: bool = False) -> list[ConsumerRecord]:
    """All records of a topic, from its beginning to its end as of now; none where it is not there."""
    found = await _partitions(address, topic)
    if not found:
        return []
    async with AIOKafkaConsumer(
        bootstrap_servers=address,
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
        max_partition_fetch_bytes=2**25,
    ) as consumer:
        consumer.assign(found)
        for tp, offset in (await consumer.beginning_offsets(found)).items():
            consumer.seek(tp, offset)
        ends = await consumer.end_offsets(found)
        read: list[ConsumerRecord] = []
        while any([await consumer.position(tp) < end for tp, end in ends.items()]):
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                read += batch
        return read


async def _partitions(address: str, topic: str) -> list[TopicPartition]:
    """The partitions of a topic; none where it is not there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return [TopicPartition(topic, each["partition"]) for each in found["partitions"]]


async def end_offsets(address: str, topic: str) -> int:
    """The end offsets of a topic's partitions, added up."""
    found = await _partitions(address, topic)
    async with AIOKafkaConsumer(bootstrap_servers=address, enable_auto_commit=False) as consumer:
        return sum((await consumer.end_offsets(found)).values())


async def messages(setting: Setting, name: str) -> list[Any]:
    """All messages of an output topic, decoded strictly."""
    return [
        decode(record.value or b"", KINDS[name])
        for record in await records(setting.kafka, setting.topic(name))
    ]


async def unread(setting: Setting, name: str) -> int:
    """Records of a topic that the workers' group has not committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=setting.kafka)
    topic = setting.topic(name)
    found = await _partitions(setting.kafka, topic)
    async with AIOKafkaConsumer(bootstrap_servers=setting.kafka, enable_auto_commit=False) as consumer:
        ends = await consumer.end_offsets(found)
    await admin.start()
    try:
        done = await admin.list_consumer_group_offsets(f"{setting.prefix}workers", partitions=found)
    finally:
        await admin.close()
    return sum(ends[tp] - max(0, done[tp].offset) for tp in found)


async def caught_up(
    setting: Setting,
    *names: str,
    patience_s: float = PATIENCE_S,
    alive: Sequence[WorkerProcess] = (),
) -> None:
    """Wait until the workers have committed all there is of these topics, and of what follows from them."""

    async def ask() -> dict[str, int]:
        for worker in alive:
            if worker.process is not None and worker.process.poll() is not None:
                raise AssertionError(f"the worker ended: {worker.text[-4000:]}")
        return {name: await unread(setting, name) for name in names}

    await until(ask, lambda left: not any(left.values()), what="all committed", patience_s=patience_s)


async def make_topics(address: str, *topics: NewTopic) -> None:
    """Create topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        answer = await admin.create_topics(list(topics))
    finally:
        await admin.close()
    assert all(code == 0 for _, code, *_ in answer.topic_errors), answer


def sample(metric: str, ts: int, value: object, **labels: str) -> dict[str, object]:
    """A sample in the native format, not yet JSON."""
    return {"metric": metric, "labels": labels, "ts": ts, "value": value}


def payload(*samples: dict[str, object]) -> bytes:
    """A record of one sample, or of several as a batch."""
    return msgspec.json.encode(samples[0] if len(samples) == 1 else list(samples))


async def tidegate(*arguments: str) -> tuple[int, str]:
    """Run the command line; return its exit code and all it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams", *arguments, cwd=ROOT,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, env=os.environ | {"COLUMNS": "400"},
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE_S):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


@asynccontextmanager
async def own_broker() -> AsyncIterator[Cluster]:
    """One broker of this test's own, to kill, stall and start again."""
    cluster = Cluster(1, heap="320m")
    await asyncio.to_thread(cluster.start)
    try:
        yield cluster
    finally:
        await asyncio.to_thread(cluster.stop)
