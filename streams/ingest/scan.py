"""The fast path: records of known prefixes to columns in one kernel call, the others handed back."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from streams.ingest.batch import Columns
from streams.ingest.limits import Limits
from streams.ingest.machine import prefetch
from streams.ingest.prefixes import Prefixes, find, hash_bytes, insert, is_crowded, words_of
from streams.ingest.shape import PADDING, elements

_SHORTEST = 16  # bytes that one sample of the shape takes at least
_CHUNK = 64  # samples between asking for their table entries and reading them
_MISSES = 256
"""Records handed back at once; a few, so that what the first of them teach serves the later ones."""

_CACHE_LINE = 64
_SLOT_SHIFT = np.uint64(3)  # a slot has 8 bytes
_LOW_HALF = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class Poll:
    """The bytes of one poll, with `PADDING` readable bytes behind the last value.

    Each record's value lies in `data` from `starts` to, not including, `ends`; both equal where it has none.
    """

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, values: list[bytes]) -> "Poll":
        """Join the values of a poll's records."""
        ends = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)))
        starts = np.empty_like(ends)
        starts[:1] = 0
        starts[1:] = ends[:-1]
        return cls(np.frombuffer(b"".join([*values, bytes(PADDING)]), dtype=np.uint8), starts, ends)


class Scanner:
    """Scans one poll from record to record; `columns` holds what is read so far."""

    def __init__(self, poll: Poll, prefixes: Prefixes, limits: Limits, now_ms: int) -> None:
        self._poll = poll
        self._prefixes = prefixes
        earliest = 0 if limits.max_age_ms is None else max(0, now_ms - limits.max_age_ms)
        self._bounds = limits.max_record_bytes, earliest, now_ms + limits.max_future_ms
        self._next = 0
        self._count = 0
        most = len(poll.data) // _SHORTEST + 1
        self._columns = Columns(
            np.empty(most, dtype=np.int32),
            np.empty(most, dtype=np.int64),
            np.empty(most, dtype=np.int64),
            np.empty(most, dtype=np.float64),
        )
        self._places = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64)
        self._misses = np.empty(_MISSES, np.int64)

    @property
    def done(self) -> bool:
        """Whether every record was scanned."""
        return self._next == len(self._poll.starts)

    @property
    def columns(self) -> Columns:
        """The samples read, in input order."""
        record, row, time, value = self._columns
        end = self._count
        return Columns(record[:end], row[:end], time[:end], value[:end])

    def scan(self, generation: NDArray[np.uint32]) -> list[int]:
        """Go on through the records; returns, ascending, those left to the slow path."""
        table = self._prefixes
        self._next, self._count, missed = _scan(
            self._poll.data,
            self._poll.starts,
            self._poll.ends,
            self._next,
            *self._bounds,
            table.slots,
            table.arena,
            generation,
            *self._columns,
            self._count,
            *self._places,
            self._misses,
        )
        return sorted(self._misses[:missed].tolist())

    def learn(self, rows: dict[int, list[int]], generation: NDArray[np.uint32]) -> None:
        """Remember the prefixes of records that the strict path read in full.

        `rows` has, for each such record, its samples' rows in order; one of another shape is passed over.
        """
        if not rows:
            return
        table = self._prefixes
        records = np.fromiter(rows, np.int64, len(rows))
        counts = np.fromiter(map(len, rows.values()), np.int64, len(rows))
        flat = np.fromiter((row for some in rows.values() for row in some), np.int64, int(counts.sum()))
        done = 0
        while True:
            done, table.count, table.used, words = _learn(
                self._poll.data,
                self._poll.starts,
                self._poll.ends,
                records,
                counts,
                flat,
                done,
                *self._bounds[1:],
                table.slots,
                table.arena,
                table.count,
                table.used,
                table.most,
                generation,
            )
            if not words or not table.make_room(words, int(counts[done:].sum()), generation):
                return


@njit(cache=True, nogil=True)
def _scan(  # type: ignore[no-untyped-def]
    data,
    starts,
    ends,
    first,
    longest,
    earliest,
    latest,
    slots,
    arena,
    generation,
    record,
    row,
    time,
    value,
    count,
    prefix,
    length,
    hashes,
    misses,
):
    """Scan from record `first` on, adding to the `count` samples; returns where to go on, count and misses.

    The samples of a chunk are read, then their slots asked for, then their entries, so that the cache
    misses of many samples overlap.
    """
    base = data.ctypes.data
    slots_at = slots.ctypes.data
    time_at, value_at = time.ctypes.data, value.ctypes.data
    prefix_at, length_at = prefix.ctypes.data, length.ctypes.data
    mask = np.uint64(slots.shape[0] - 1)
    records = starts.shape[0]
    missed = 0
    while first < records and missed < misses.shape[0]:
        room = min(records, first + misses.shape[0] - missed)
        end = count
        while first < room and end - count < _CHUNK:
            start, stop = base + starts[first], base + ends[first]
            after = -1
            if stop - start <= longest:
                after = elements(start, stop, earliest, latest, time_at, value_at, prefix_at, length_at, end)
            if after < 0:
                misses[missed] = first
                missed += 1
                after = end
            for i in range(end, after):
                record[i] = first
                hashes[i] = hash_bytes(prefix[i], length[i])
                prefetch(slots_at + np.int64((hashes[i] & mask) << _SLOT_SHIFT))
            end = after
            first += 1
        _ask_for_entries(hashes[count:end], slots, arena)
        count, missed = _settle(
            count,
            end,
            slots,
            arena,
            generation,
            record,
            row,
            time,
            value,
            prefix,
            length,
            hashes,
            misses,
            missed,
        )
    return first, count, missed


@njit(cache=True, nogil=True)
def _ask_for_entries(hashes, slots, arena):  # type: ignore[no-untyped-def]
    mask = np.uint64(slots.shape[0] - 1)
    arena_at = arena.ctypes.data
    for i in range(hashes.shape[0]):
        held = np.int64(slots[hashes[i] & mask] & _LOW_HALF)
        if held:
            entry = arena_at + 8 * (held - 1)
            prefetch(entry)
            prefetch(entry + _CACHE_LINE)


@njit(cache=True, nogil=True)
def _settle(  # type: ignore[no-untyped-def]
    count, end, slots, arena, generation, record, row, time, value, prefix, length, hashes, misses, missed
):
    """Give the samples `count` to `end` their rows; a record counts as a whole or is missed."""
    slots_at, arena_at, generation_at = slots.ctypes.data, arena.ctypes.data, generation.ctypes.data
    mask = np.uint64(slots.shape[0] - 1)
    i = count
    while i < end:
        current = record[i]
        begun = count
        while i < end and record[i] == current:
            found = find(prefix[i], length[i], hashes[i], slots_at, mask, arena_at, generation_at)
            if found < 0:
                misses[missed] = current
                missed += 1
                count = begun
                while i < end and record[i] == current:
                    i += 1
                break
            record[count] = current
            row[count] = found
            time[count] = time[i]
            value[count] = value[i]
            count += 1
            i += 1
    return count, missed


@njit(cache=True, nogil=True)
def _learn(  # type: ignore[no-untyped-def]
    data,
    starts,
    ends,
    records,
    counts,
    rows,
    done,
    earliest,
    latest,
    slots,
    arena,
    count,
    used,
    most,
    generation,
):
    """Add the prefixes of `records` from position `done` on.

    Returns where it stopped, the table's count and used words, and how many words the next prefix lacks, 0 at
    the end. What was added before that is found again when its record is gone through once more.
    """
    base = data.ctypes.data
    room = 1
    for i in range(done, records.shape[0]):
        room = max(room, (ends[records[i]] - starts[records[i]]) // _SHORTEST + 1)
    time = np.empty(room, np.int64)
    value = np.empty(room)
    prefix = np.empty(room, np.int64)
    length = np.empty(room, np.int64)
    first = counts[:done].sum()
    for i in range(done, records.shape[0]):
        found = elements(
            base + starts[records[i]],
            base + ends[records[i]],
            earliest,
            latest,
            time.ctypes.data,
            value.ctypes.data,
            prefix.ctypes.data,
            length.ctypes.data,
            0,
        )
        for k in range(found if found == counts[i] else 0):
            words = words_of(length[k])
            if used + words > arena.shape[0] or is_crowded(count, slots.shape[0]) or count >= most:
                return i, count, used, words
            before = used
            used = insert(prefix[k], length[k], rows[first + k], slots, arena, used, generation)
            count += used > before
        first += counts[i]
    return records.shape[0], count, used, 0
