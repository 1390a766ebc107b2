"""Fetch responses made by aiokafka's own builder, and read by its own reader."""

import struct
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

TOPIC, PARTITION = "metrics", 3
Entry = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Timestamp, key, value and headers of a record."""

_ATTRIBUTES_AT = 21


def batch(base: int, entries: Sequence[Entry], *, codec: int = 0, attributes: int = 0) -> bytes:
    """A batch of message format 2 from offset `base` on; `attributes` are bits beside the codec."""
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 30)
    for i, (timestamp, key, value, headers) in enumerate(entries):
        builder.append(i, timestamp, key, value, headers)
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    set_attributes(data, struct.unpack_from(">h", data, _ATTRIBUTES_AT)[0] | attributes)
    return bytes(data)


def set_attributes(data: bytearray, attributes: int) -> None:
    """Change a batch's attributes, and its checksum with them."""
    struct.pack_into(">h", data, _ATTRIBUTES_AT, attributes)
    struct.pack_into(">I", data, _ATTRIBUTES_AT - 4, calc_crc32c(bytes(data[_ATTRIBUTES_AT:])))


def read_by_aiokafka(fetched: bytes, first: int) -> tuple[list[Any], int]:
    """The records that aiokafka reads, and the offset where it would go on."""
    reader = PartitionRecords(
        TopicPartition(TOPIC, PARTITION),
        MemoryRecords(fetched),
        [],
        first,
        None,
        None,
        True,
        READ_UNCOMMITTED,
    )
    return list(reader), reader.next_fetch_offset
