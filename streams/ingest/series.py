"""Row numbers of one partition's series, kept in a few flat arrays instead of Python objects."""

from array import array
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
from numba import njit
from numpy.typing import NDArray

from schemas import series_key
from streams.ingest.labels import parse_key

_EMPTY = -1
_RELEASED = -1
_FIRST_SLOTS = 1024
_COMPACT_ABOVE_BYTES = 1 << 16


class SeriesIndex:
    """Series key to row and back, for the series of one source partition.

    Rows count from 0 and are those of the columnar state; a released row is given to the next new series.
    The keys' UTF-8 lies in one arena; a row costs its key, 20 bytes, and 4 to 11 bytes of hash table
    (open addressing, linear probing, Knuth, The Art of Computer Programming 3, 6.4, 1973).

    >>> index = SeriesIndex()
    >>> index.row("up", {"job": "b"}), index.row("up", {"job": "a"}), index.row("up", {"job": "b"})
    (0, 1, 0)
    >>> index.key(1), index.metric(1), index.labels(1)
    ('up{job="a"}', 'up', {'job': 'a'})
    """

    def __init__(self) -> None:
        self._arena = bytearray()
        self._dead_bytes = 0
        self._start = array("q")
        self._length = array("i")
        self._hash = array("I")
        self._free: list[int] = []
        self._fresh: list[int] = []
        self._slots = array("i", [_EMPTY]) * _FIRST_SLOTS
        self._generation = np.zeros(_FIRST_SLOTS, dtype=np.uint32)

    def __len__(self) -> int:
        """How many series have a row."""
        return len(self._start) - len(self._free)

    def __iter__(self) -> Iterator[int]:
        """The rows in use, ascending."""
        return (row for row, length in enumerate(self._length) if length != _RELEASED)

    @property
    def extent(self) -> int:
        """One past the highest row ever given: the length that arrays with one entry per row need."""
        return len(self._start)

    @property
    def generation(self) -> NDArray[np.uint32]:
        """Per row, how often it was released: tells a remembered row number from its reuse."""
        return self._generation

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays, spare room included."""
        arrays = (self._start, self._length, self._hash, self._slots)
        held = sum(a.buffer_info()[1] * a.itemsize for a in arrays)
        return held + self._arena.__sizeof__() + self._generation.nbytes + self._free.__sizeof__()

    def row(self, metric: str, labels: Mapping[str, str]) -> int:
        """The series' row; a series that has none is given one."""
        key = series_key(metric, labels).encode()
        slot, row = self._find(key)
        return row if row >= 0 else self._add(key, slot)

    def take_fresh(self) -> list[int]:
        """The rows given to new series since this was last asked, reused ones included, in order."""
        fresh, self._fresh = self._fresh, []
        return fresh

    def find(self, metric: str, labels: Mapping[str, str]) -> int:
        """The series' row, or -1 where it has none."""
        return self._find(series_key(metric, labels).encode())[1]

    def key(self, row: int) -> str:
        """The series' name as `schemas.series_key` writes it.

        Raises:
            IndexError: no series has this row.
        """
        length = self._length[row] if 0 <= row < len(self._length) else _RELEASED
        if length == _RELEASED:
            raise IndexError(f"no series has row {row} (rows in use: {len(self)}, extent {self.extent})")
        start = self._start[row]
        return self._arena[start : start + length].decode()

    def name(self, row: int) -> str:
        """The series' key, or "" where no series has this row."""
        used = row < len(self._length) and self._length[row] != _RELEASED
        return self.key(row) if used else ""

    def metric(self, row: int) -> str:
        """The series' metric name. Raises IndexError where no series has this row."""
        return parse_key(self.key(row))[0]

    def labels(self, row: int) -> dict[str, str]:
        """The series' labels, sorted by name. Raises IndexError where no series has this row."""
        return parse_key(self.key(row))[1]

    def release(self, row: int) -> None:
        """Take the row from its series; the next new series gets it.

        Raises:
            IndexError: no series has this row.
        """
        key = self.key(row).encode()
        self._unlink(self._find(key)[0])
        self._dead_bytes += len(key)
        self._length[row] = _RELEASED
        self._generation[row] += 1
        self._free.append(row)
        if self._dead_bytes > max(_COMPACT_ABOVE_BYTES, len(self._arena) // 2):
            self._compact()

    def restore(self, entries: Iterable[tuple[int, str]]) -> None:
        """Fill an empty index with `(row, key)` pairs, as durable state has them; rows between stay free.

        Raises:
            ValueError: the index is not empty, or a row or key comes twice, or a row is negative.
        """
        if self.extent:
            raise ValueError(f"restore needs an empty index; this one has {len(self)} series")
        ordered = sorted(entries)
        rows = np.fromiter((row for row, _ in ordered), np.int64, len(ordered))
        if len(rows) and (rows[0] < 0 or (np.diff(rows) == 0).any()):
            wrong = 0 if rows[0] < 0 else int(np.flatnonzero(np.diff(rows) == 0)[0])
            raise ValueError(f"row {rows[wrong]} of {ordered[wrong][1]!r} comes twice or is negative")
        keys = [key.encode() for _, key in ordered]
        end = int(rows[-1]) + 1 if len(rows) else 0
        start, length = np.zeros(end, np.int64), np.full(end, _RELEASED, np.int32)
        hashes = np.zeros(end, np.uint32)
        length[rows] = np.fromiter(map(len, keys), np.int32, len(keys))
        start[rows] = np.cumsum(length[rows]) - length[rows]
        hashes[rows] = np.fromiter((hash(key) & 0xFFFFFFFF for key in keys), np.uint32, len(keys))
        arena = np.frombuffer(b"".join(keys), np.uint8)
        slots = np.full(_slots_for(len(keys)), _EMPTY, np.int32)
        first, second = _link_new(hashes, start, length, arena, slots)
        if first >= 0:
            key = bytes(arena[start[first] : start[first] + length[first]]).decode()
            raise ValueError(f"series {key!r} comes twice, as rows {first} and {second}")
        self._start, self._length = array("q", start.tobytes()), array("i", length.tobytes())
        self._hash, self._slots = array("I", hashes.tobytes()), array("i", slots.tobytes())
        self._arena = bytearray(arena)
        self._generation = np.zeros(_slots_for(end), dtype=np.uint32)
        self._free = np.flatnonzero(length == _RELEASED)[::-1].tolist()
        self._fresh.clear()

    def _find(self, key: bytes) -> tuple[int, int]:
        """The slot that holds the key and its row, or the empty slot where it belongs and -1."""
        slots, mask = self._slots, len(self._slots) - 1
        hashed = hash(key) & 0xFFFFFFFF
        slot = hashed & mask
        while (row := slots[slot]) != _EMPTY:
            if self._hash[row] == hashed:
                start = self._start[row]
                if self._length[row] == len(key) and self._arena[start : start + len(key)] == key:
                    return slot, row
            slot = (slot + 1) & mask
        return slot, -1

    def _add(self, key: bytes, slot: int) -> int:
        if self._free:
            row = self._free.pop()
            self._start[row] = len(self._arena)
            self._length[row] = len(key)
        else:
            row = len(self._start)
            self._push(key, len(key))
        self._fresh.append(row)
        self._hash[row] = hash(key) & 0xFFFFFFFF
        self._arena += key
        self._slots[slot] = row
        if len(self) * 4 > len(self._slots) * 3:
            self._grow()
        return row

    def _push(self, key: bytes, length: int) -> None:
        self._start.append(len(self._arena))
        self._length.append(length)
        self._hash.append(0)
        if len(self._start) > len(self._generation):
            grown = np.zeros(len(self._generation) * 2, dtype=np.uint32)
            grown[: len(self._generation)] = self._generation
            self._generation = grown

    def _grow(self) -> None:
        slots = np.full(len(self._slots) * 2, _EMPTY, dtype=np.int32)
        _link_all(np.frombuffer(self._hash, np.uint32), np.frombuffer(self._length, np.int32), slots)
        self._slots = array("i", slots.tobytes())

    def _unlink(self, slot: int) -> None:
        """Empty the slot and move back what was pushed past it, so probes need no tombstones."""
        slots, mask = self._slots, len(self._slots) - 1
        hole, probe = slot, slot
        while True:
            probe = (probe + 1) & mask
            row = slots[probe]
            if row == _EMPTY:
                break
            home = self._hash[row] & mask
            if (probe - home) & mask >= (probe - hole) & mask:
                slots[hole] = row
                hole = probe
        slots[hole] = _EMPTY

    def _compact(self) -> None:
        arena = bytearray()
        for row in self:
            start = self._start[row]
            self._start[row] = len(arena)
            arena += self._arena[start : start + self._length[row]]
        self._arena = arena
        self._dead_bytes = 0


def _slots_for(count: int) -> int:
    """The least power of two of which `count` is at most three quarters."""
    slots = _FIRST_SLOTS
    while count * 4 > slots * 3:
        slots *= 2
    return slots


@njit(cache=True, nogil=True)
def _link_new(hashes, starts, lengths, arena, slots):  # type: ignore[no-untyped-def]
    """Link all rows into the empty `slots`; returns two rows of one key, or -1 twice where there are none."""
    mask = slots.shape[0] - 1
    for row in range(hashes.shape[0]):
        length = lengths[row]
        if length == _RELEASED:
            continue
        slot = hashes[row] & mask
        while slots[slot] != _EMPTY:
            other = slots[slot]
            if hashes[other] == hashes[row] and lengths[other] == length:
                same = True
                for i in range(length):
                    if arena[starts[other] + i] != arena[starts[row] + i]:
                        same = False
                        break
                if same:
                    return other, row
            slot = (slot + 1) & mask
        slots[slot] = row
    return -1, -1


@njit(cache=True, nogil=True)
def _link_all(hashes, lengths, slots):  # type: ignore[no-untyped-def]
    mask = slots.shape[0] - 1
    for row in range(hashes.shape[0]):
        if lengths[row] != _RELEASED:
            slot = hashes[row] & mask
            while slots[slot] != _EMPTY:
                slot = (slot + 1) & mask
            slots[slot] = row
