"""Taking the durable state out of Kafka into a file, putting it back, and undoing what a model learnt."""

import fnmatch
import gzip
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from streams.config import Config
from streams.detection import DetectPartition
from streams.epochs import OWNER, Newest, tagged
from streams.partition import COLD
from streams.series_rows import Block
from streams.steering import STEERING
from streams.topics import MAX_RECORD_BYTES, partitions_of

FORMAT = 1
STAGES = ("detect", "alert", "plan")


class ExportError(RuntimeError):
    """State cannot be taken out or put back; the text says why and what to do."""


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """All state of a group: blocks by stage, partition and key; committed offsets by topic and partition."""

    format: int = FORMAT
    group: str
    taken_at: int
    stages: dict[str, dict[int, dict[bytes, bytes]]]
    offsets: dict[str, dict[int, int]]

    def write(self, path: Path) -> None:
        """Write the export, compressed."""
        with gzip.open(path, "wb", compresslevel=3) as file:
            file.write(msgspec.msgpack.encode(self))

    @staticmethod
    def read(path: Path) -> "Export":
        """Read an export.

        Raises:
            ExportError: the file is not one, or was written in another format.
        """
        try:
            with gzip.open(path, "rb") as file:
                export = msgspec.msgpack.decode(file.read(), type=Export)
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            raise ExportError(f"{path}: not a state export: {error}") from error
        if export.format != FORMAT:
            raise ExportError(f"{path}: format {export.format}, this program reads {FORMAT}")
        return export


def changelog(config: Config, stage: str) -> str:
    """Name of the topic that holds a stage's state."""
    return f"{config.kafka.group}-{stage}-state-changelog"


async def take(config: Config, connection: Mapping[str, Any], now_ms: int) -> Export:
    """Read the state of the configured group as it stands in Kafka.

    What a running worker has not written yet (at most `state.checkpoint_s` of it) is not in it; its
    input offset is not committed either, so the export is whole in itself.

    Raises:
        ExportError: the group has no state.
        KafkaError: the brokers cannot be reached.
    """
    admin = AIOKafkaAdminClient(**connection)
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(config.kafka.group)
    finally:
        await admin.close()
    offsets: dict[str, dict[int, int]] = {}
    for tp, meta in committed.items():
        if meta.offset >= 0 and not tp.topic.endswith("-changelog"):
            offsets.setdefault(tp.topic, {})[tp.partition] = meta.offset
    stages = {
        stage: {number: found.blocks for number, found in read.items()}
        for stage, read in [(stage, await newest(changelog(config, stage), connection)) for stage in STAGES]
    }
    if not any(blocks for partitions in stages.values() for blocks in partitions.values()):
        raise ExportError(f"group {config.kafka.group} has no state at {connection['bootstrap_servers']}")
    return Export(group=config.kafka.group, taken_at=now_ms, stages=stages, offsets=offsets)


async def newest(topic: str, connection: Mapping[str, Any]) -> dict[int, Newest]:
    """The blocks of a changelog, by partition; nothing where there is no such topic."""
    partitions = await partitions_of(topic, connection)
    if not partitions:
        return {}
    async with AIOKafkaConsumer(**connection, enable_auto_commit=False) as consumer:
        consumer.assign(partitions)
        for tp, offset in (await consumer.beginning_offsets(partitions)).items():
            consumer.seek(tp, offset)
        ends = await consumer.end_offsets(partitions)
        found = {tp.partition: Newest() for tp in partitions}
        for tp in partitions:
            while await consumer.position(tp) < ends[tp]:
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        found[record.partition].apply(record.key or b"", record.value)
    return found


async def put(export: Export, config: Config, connection: Mapping[str, Any]) -> int:
    """Make the group's state that of `export`, and its input begin where the export's did.

    Returns the number of blocks written. Input between the export and now is learnt again, as far as
    Kafka still has it; its commands are not carried out again (the ledger knows them, or they expired).

    Raises:
        ExportError: a worker of the group is running, or the topics have other partitions.
        KafkaError: the brokers cannot be reached.
    """
    await _must_be_idle(config, connection)
    written = 0
    for stage, partitions in export.stages.items():
        topic = changelog(config, stage)
        present = await newest(topic, connection)
        if present and set(present) != set(partitions):
            raise ExportError(f"{topic} has {len(present)} partitions, the export {len(partitions)}")
        outdone = {number: _records(found, found.blocks) for number, found in present.items()}
        written += await _write(topic, partitions, outdone, connection)
    async with AIOKafkaConsumer(
        **connection, group_id=config.kafka.group, enable_auto_commit=False
    ) as consumer:
        begin = {
            TopicPartition(topic, number): offset
            for topic, numbers in export.offsets.items()
            for number, offset in numbers.items()
        }
        consumer.assign(list(begin))
        await consumer.commit(begin)
    return written


async def revert(
    export: Export,
    config: Config,
    connection: Mapping[str, Any],
    *,
    series: str,
    make: Callable[[int], DetectPartition],
) -> int:
    """Give the models of all series that match `series` (a glob on the key) the state they had in `export`.

    Everything else stays: offsets, alerts, other series. `make` builds an empty partition. Returns the
    number of series reverted; one that the export does not have is left as it is.

    Raises:
        ExportError: a worker of the group is running.
        KafkaError: the brokers cannot be reached.
    """
    await _must_be_idle(config, connection)
    topic = changelog(config, "detect")
    changes: dict[int, dict[bytes, bytes | None]] = {}
    outdone: dict[int, set[bytes]] = {}
    count = 0
    for number, found in (await newest(topic, connection)).items():
        old_blocks = export.stages["detect"].get(number, {})
        now, old = _opened(make(number), found.blocks), _opened(make(number), old_blocks)
        for name in sorted(fnmatch.filter(_series(found.blocks) & _series(old_blocks), series)):
            count += now.rows.revert(name, old.rows)
        changes[number] = dict(now.snapshot())
        outdone[number] = _records(found, changes[number])
    await _write(topic, changes, outdone, connection)
    return count


def _records(found: Newest, keys: Iterable[bytes]) -> set[bytes]:
    """Keys in the changelog of these blocks as they stand, and of what is stale."""
    return found.stale | {record for key in keys if (record := found.record(key)) is not None}


def _opened(partition: DetectPartition, blocks: Mapping[bytes, bytes]) -> DetectPartition:
    partition.restore({k: data for k, data in blocks.items() if not k.startswith(COLD)}, blocks.get)
    return partition


def _series(blocks: Mapping[bytes, bytes]) -> set[str]:
    rows = (data for key, data in blocks.items() if key not in STEERING)
    decoded = (msgspec.msgpack.decode(data, type=Block) for data in rows)
    return {name for block in decoded for name in block.series if name}


async def _write(
    topic: str,
    changes: Mapping[int, Mapping[bytes, bytes | None]],
    outdone: Mapping[int, Set[bytes]],
    connection: Mapping[str, Any],
) -> int:
    """Write blocks as a new owner of their partitions; remove the records that they outdo afterwards."""
    count = 0
    async with AIOKafkaProducer(
        **connection, acks="all", compression_type="zstd", max_request_size=MAX_RECORD_BYTES
    ) as producer:
        for partition, entries in changes.items():
            epoch = (await producer.send_and_wait(topic, b"", key=OWNER, partition=partition)).offset
            for key, block in entries.items():
                if block is not None:
                    await producer.send(topic, block, key=tagged(epoch, key), partition=partition)
                    count += 1
        await producer.flush()
        for partition, records in outdone.items():
            for record in records:
                await producer.send(topic, None, key=record, partition=partition)
        await producer.flush()
    return count


async def _must_be_idle(config: Config, connection: Mapping[str, Any]) -> None:
    admin = AIOKafkaAdminClient(**connection)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([config.kafka.group])
    finally:
        await admin.close()
    (group,) = answer.groups  # type: ignore[attr-defined]
    _, name, state, _, _, members = group[:6]
    if members:
        raise ExportError(
            f"group {name} has {len(members)} running workers ({state}): stop them first, "
            "what they write next would undo this"
        )
