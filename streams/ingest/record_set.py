"""Records of one poll as Kafka sent them: found by a kernel, made Python objects only when asked for."""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, overload

import numpy as np
from aiokafka.codec import gzip_decode, lz4_decode, snappy_decode, zstd_decode
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.util import calc_crc32c
from numba import njit
from numpy.typing import NDArray

from streams.ingest.machine import load8
from streams.ingest.shape import PADDING

# Base offset, length, leader epoch, magic, CRC, attributes, last offset delta, first and highest timestamp,
# producer's id and epoch, base sequence, count: the head of a batch of message format 2.
_HEAD = struct.Struct(">qiibIhiqqqhii")
_LENGTH_END = 12
_MAGIC_AT = 16
_CRC_START = 21
_CODECS = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}
_LOG_APPEND_TIME, _CONTROL = 0x08, 0x20
_NULL = -1
PORTION_BYTES = 8 << 20
"""About this many bytes of records in one portion: bounds memory where records are large or compress well."""

_LEAST = 7  # bytes of a record without key and value

_OFFSET, _TIMESTAMP, _KEY, _KEY_END, _VALUE, _VALUE_END, _HEADERS = range(7)
_FIELDS = 7


@dataclass(frozen=True, slots=True)
class RawRecord:
    """One record, with what aiokafka's `ConsumerRecord` of the same names holds. `timestamp` is Unix ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class RecordSet(Sequence[RawRecord]):
    """Records of one partition, ascending in offset; a slice shares the bytes of the whole."""

    __slots__ = ("_fields", "data", "partition", "topic")

    def __init__(
        self, topic: str, partition: int, data: NDArray[np.uint8], fields: NDArray[np.int64]
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.data = data
        """The records' bytes, with `PADDING` zero bytes behind them."""
        self._fields = fields

    @property
    def offsets(self) -> NDArray[np.int64]:
        """Each record's offset."""
        offsets: NDArray[np.int64] = self._fields[_OFFSET]
        return offsets

    @property
    def timestamps(self) -> NDArray[np.int64]:
        """Each record's timestamp, Unix ms; -1 where it has none."""
        timestamps: NDArray[np.int64] = self._fields[_TIMESTAMP]
        return timestamps

    @property
    def values(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where in `data` each value begins and ends; both -1 where there is none."""
        return self._fields[_VALUE], self._fields[_VALUE_END]

    def __len__(self) -> int:
        return len(self.offsets)

    @overload
    def __getitem__(self, at: int) -> RawRecord: ...
    @overload
    def __getitem__(self, at: slice) -> "RecordSet": ...
    def __getitem__(self, at: int | slice) -> "RawRecord | RecordSet":
        if isinstance(at, slice):
            return RecordSet(self.topic, self.partition, self.data, self._fields[:, at])
        offset, timestamp, key, key_end, value, value_end, headers = self._fields[:, at].tolist()
        return RawRecord(
            self.topic,
            self.partition,
            offset,
            timestamp,
            self._bytes(key, key_end),
            self._bytes(value, value_end),
            tuple(self._headers(headers)),
        )

    def _bytes(self, start: int, end: int) -> bytes | None:
        return None if start == _NULL else self.data[start:end].tobytes()

    def _headers(self, at: int) -> Iterator[tuple[str, bytes | None]]:
        count, at = self._varint(at)
        for _ in range(count):
            if at >= len(self.data) - PADDING:
                raise CorruptRecordException(
                    f"A record's headers are cut off in {self.topic}-{self.partition}"
                )
            size, at = self._varint(at)
            name, at = self._bytes(at, at + size) or b"", at + size
            size, at = self._varint(at)
            yield name.decode("utf-8", "replace"), None if size < 0 else self._bytes(at, at + size)
            at += max(size, 0)

    def _varint(self, at: int) -> tuple[int, int]:
        number, shift = 0, 0
        while True:
            byte = int(self.data[at])
            number |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1), at


def offsets_of(records: Sequence[Any]) -> NDArray[np.int64]:
    """Each record's offset, of a `RecordSet` or of any other records."""
    if isinstance(records, RecordSet):
        return records.offsets
    return np.fromiter([record.offset for record in records], np.int64, len(records))


def timestamps_of(records: Sequence[Any]) -> NDArray[np.int64]:
    """Each record's timestamp (Unix ms), of a `RecordSet` or of any other records."""
    if isinstance(records, RecordSet):
        return records.timestamps
    return np.fromiter([record.timestamp for record in records], np.int64, len(records))


def is_readable(fetched: bytes) -> bool:
    """Whether every whole batch of a fetch response is of message format 2, that of Kafka 0.11 and later."""
    return all(fetched[start + _MAGIC_AT] == 2 for start, _ in _batches(fetched))


class Portion(NamedTuple):
    """Some records of a fetch response: the offset to go on from, and what of the response is left."""

    records: RecordSet
    following: int
    rest: bytes | memoryview


def read_batches(
    topic: str,
    partition: int,
    fetched: bytes | memoryview,
    first: int,
    *,
    check_crcs: bool,
    records: int | None = None,
    size: int = PORTION_BYTES,
) -> Portion:
    """The records from offset `first` on in a partition's part of a fetch response.

    Whole batches are read until `records` records or `size` bytes are there; without `records`, all. A batch
    that the response cuts off at its end is left for the next one. Control batches are passed over; batches
    of aborted transactions are not, so this is for consumers that read uncommitted records.

    Raises:
        CorruptRecordException: a checksum or a length is wrong.
        UnsupportedCodecError: the compression is not one of gzip, snappy, lz4 and zstd.
    """
    heads, parts = [], []
    held, following = 0, first
    taken, rest = 0, fetched[:0]
    for start, end in _batches(fetched):
        if records is not None and (taken >= records or held >= size):
            rest = memoryview(fetched)[start:]
            break
        base, _, _, _, crc, attributes, last, first_time, highest_time, _, _, _, count = _HEAD.unpack_from(
            fetched, start
        )
        where = f"the batch at offset {base} of {topic}-{partition}"
        if check_crcs and calc_crc32c(bytes(fetched[start + _CRC_START : end])) != crc:
            raise CorruptRecordException(f"Invalid CRC - {where}")
        following = base + last + 1
        if attributes & _CONTROL or count <= 0:
            continue
        part = _decompress(memoryview(fetched)[start + _HEAD.size : end], attributes & 0x07, where)
        time = highest_time if attributes & _LOG_APPEND_TIME else first_time
        if count * _LEAST > len(part):
            raise CorruptRecordException(f"{count} records do not fit {len(part)} bytes - {where}")
        heads.append((held, held + len(part), base, time, not attributes & _LOG_APPEND_TIME, count))
        parts.append(part)
        held += len(part)
        taken += count - max(0, min(first - base, count))  # of a compacted batch an estimate
    data = np.frombuffer(b"".join([*parts, bytes(PADDING)]), dtype=np.uint8)
    table = np.array(heads, dtype=np.int64).reshape(-1, 6)
    fields = np.empty((_FIELDS, int(table[:, 5].sum())), dtype=np.int64)
    found = _find_records(data, table, first, fields)
    if found < 0:
        raise CorruptRecordException(
            f"A record's length is wrong in {topic}-{partition} from offset {first} on"
        )
    return Portion(RecordSet(topic, partition, data, fields[:, :found]), max(first, following), rest)


def _batches(fetched: bytes | memoryview) -> Iterator[tuple[int, int]]:
    start = 0
    while start + _HEAD.size <= len(fetched):
        end = start + _LENGTH_END + int.from_bytes(fetched[start + 8 : start + 12], "big", signed=True)
        if end > len(fetched):
            return
        if end < start + _HEAD.size:
            raise CorruptRecordException(f"A batch of {end - start} bytes is shorter than its head")
        yield start, end
        start = end


def _decompress(data: memoryview, codec: int, where: str) -> bytes | memoryview:
    if codec == 0:
        return data
    if codec not in _CODECS:
        raise UnsupportedCodecError(f"Unknown compression {codec} - {where}")
    return _CODECS[codec](data.tobytes())


@njit(cache=True, nogil=True)
def _find_records(data, batches, first, fields):  # type: ignore[no-untyped-def]
    """Fill `fields` with the records from offset `first` on; returns how many, -1 where a length is wrong."""
    base = data.ctypes.data
    found = 0
    for b in range(batches.shape[0]):
        place, end = base + batches[b, 0], base + batches[b, 1]
        base_offset, base_time, counts_time = batches[b, 2], batches[b, 3], batches[b, 4]
        for _ in range(batches[b, 5]):
            if place >= end:
                return -1
            length, place = _varint(place)
            stop = place + length
            if length < 0 or stop > end:
                return -1
            time, place = _varint(place + 1)
            offset, place = _varint(place)
            length, key = _varint(place)
            key_end = key + max(length, 0)
            if length >= stop - key:
                return -1
            if length < 0:
                fields[_KEY, found] = fields[_KEY_END, found] = _NULL
            else:
                fields[_KEY, found] = key - base
                fields[_KEY_END, found] = key_end - base
            length, value = _varint(key_end)
            value_end = value + max(length, 0)
            if length >= stop - value:
                return -1
            if length < 0:
                fields[_VALUE, found] = fields[_VALUE_END, found] = _NULL
            else:
                fields[_VALUE, found] = value - base
                fields[_VALUE_END, found] = value_end - base
            fields[_OFFSET, found] = base_offset + offset
            fields[_TIMESTAMP, found] = base_time + time * counts_time
            fields[_HEADERS, found] = value_end - base
            found += base_offset + offset >= first
            place = stop
    return found


@njit(cache=True, nogil=True, forceinline=True)
def _varint(place):  # type: ignore[no-untyped-def]
    """A zigzag number of at most ten bytes at an address, and the address behind it."""
    byte = load8(place)
    place += 1
    number = byte & np.uint64(0x7F)
    shift = np.uint64(7)
    while byte >= np.uint64(0x80) and shift < np.uint64(70):
        byte = load8(place)
        place += 1
        number |= (byte & np.uint64(0x7F)) << shift
        shift += np.uint64(7)
    return np.int64(number >> np.uint64(1)) ^ -np.int64(number & np.uint64(1)), place
