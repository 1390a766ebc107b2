"""The table of record prefixes that the strict decoder has accepted, each with its series' row.

Open addressing with linear probing over 8-byte slots; a slot holds 32 bits of the hash and the place of an
entry in one arena, so a look-up misses the cache twice and a prefix takes about 44 bytes beside itself. A
remembered row counts only while the index has not released it.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from streams.ingest.machine import load32, load64, multiply

_U = np.uint64
_FIRST_SLOTS = 1 << 12
_FIRST_ARENA = 1 << 16
_HEADER = 16
_PROBES = 128  # at most; a half full table needs them by malice only
KEYS = (_U(0xA0761D6478BD642F), _U(0xE7037ED1A0B428DB), _U(0x8EBC6AF09C88C6E3))
_LOW_HALF = _U(0xFFFFFFFF)
_HALF = _U(32)
_ALL = _U(2**64 - 1)


class Prefixes:
    """The table's arrays, and their growth up to `most` prefixes; stale ones count until forgotten."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.count = 0
        self.used = 0
        self.slots: NDArray[np.uint64] = np.zeros(_FIRST_SLOTS, dtype=np.uint64)
        self.arena: NDArray[np.uint64] = np.zeros(_FIRST_ARENA // 8, dtype=np.uint64)
        self._refused = 0

    @property
    def nbytes(self) -> int:
        """Bytes held by the arrays, spare room included."""
        return self.slots.nbytes + self.arena.nbytes

    def make_room(self, words: int, wanting: int, generation: NDArray[np.uint32]) -> bool:
        """Make room for one more prefix, of so many words of the arena; False where the table is full.

        `wanting` is how many samples ask for it. A full table forgets what the index has released each time
        an eighth of `most` asked in vain, and everything once `most` did: what it knows is not what comes.
        """
        if self.count >= self.most and not self._forget(wanting, generation):
            return False
        if self.used + words > len(self.arena):
            arena = np.empty(self.used + max(words, len(self.arena) // 2), dtype=np.uint64)
            arena[: self.used] = self.arena[: self.used]
            self.arena = arena
        if is_crowded(self.count, len(self.slots)):
            self._relink(2 * len(self.slots), generation)
        return True

    def _forget(self, wanting: int, generation: NDArray[np.uint32]) -> bool:
        before = self._refused
        self._refused += wanting
        if self._refused >= self.most:
            self._refused = self.used = 0
        elif self._refused * 8 // self.most == before * 8 // self.most:
            return False
        self._relink(len(self.slots), generation)
        return self.count < self.most

    def _relink(self, size: int, generation: NDArray[np.uint32]) -> None:
        self.slots = np.zeros(size, dtype=np.uint64)
        self.count, self.used = _relink(self.slots, self.arena, self.used, generation)


@njit(cache=True, nogil=True, forceinline=True)
def is_crowded(count, slots):  # type: ignore[no-untyped-def]
    """Whether one more entry needs a larger table: above a half, probes become long."""
    return (count + 1) * 2 > slots


@njit(cache=True, nogil=True, forceinline=True)
def words_of(length):  # type: ignore[no-untyped-def]
    """Words of the arena that a prefix of `length` bytes takes, its header included."""
    return _HEADER // 8 + ((length + 7) >> 3)


@njit(cache=True, nogil=True, forceinline=True)
def hash_bytes(place, length):  # type: ignore[no-untyped-def]
    """A 64-bit hash of `length` bytes at an address (folded 128-bit products, as in Wang Yi's wyhash, 2019).

    It reads up to 15 bytes behind them. Whoever makes prefixes collide gains the slow path for them, no more.
    """
    state = KEYS[0] ^ _U(length)
    whole = length & ~15
    for i in range(0, whole, 16):
        high, low = multiply(load64(place + i) ^ KEYS[1], load64(place + i + 8) ^ state)
        state = high ^ low
    rest = length - whole
    if rest > 0:
        first = load64(place + whole)
        second = _U(0)
        if rest < 8:
            first &= _ALL >> _U(64 - 8 * rest)
        elif rest > 8:
            second = load64(place + whole + 8) & (_ALL >> _U(128 - 8 * rest))
        high, low = multiply(first ^ KEYS[1], second ^ state)
        state = high ^ low
    high, low = multiply(state, KEYS[2])
    return high ^ low


@njit(cache=True, nogil=True, forceinline=True)
def find(place, length, hashed, slots, mask, arena, generation):  # type: ignore[no-untyped-def]
    """Row of the prefix at an address, or -1 where it is unknown or its row was released.

    `slots`, `arena` and `generation` are the addresses of the arrays, `mask` the number of slots less one.
    """
    slot = hashed & mask
    for _ in range(_PROBES):
        held = load64(slots + 8 * np.int64(slot))
        if held == 0:
            return -1
        if (held >> _HALF) == (hashed >> _HALF):
            entry = arena + 8 * (np.int64(held & _LOW_HALF) - 1)
            if _holds(entry, place, length):
                header = load64(entry)
                row = np.int64(header & _LOW_HALF)
                return row if load32(generation + 4 * row) == header >> _HALF else -1
        slot = (slot + _U(1)) & mask
    return -1


@njit(cache=True, nogil=True, forceinline=True)
def _holds(entry, place, length):  # type: ignore[no-untyped-def]
    if np.int64(load64(entry + 8)) != length:
        return False
    held = entry + _HEADER
    end = place + (length & ~7)
    while place < end:
        if load64(held) != load64(place):
            return False
        held += 8
        place += 8
    rest = length & 7
    return rest == 0 or load64(held) == load64(place) & (_ALL >> _U(64 - 8 * rest))


@njit(cache=True, nogil=True)
def insert(place, length, row, slots, arena, used, generation):  # type: ignore[no-untyped-def]
    """Remember the prefix at an address; returns how many words of the arena are in use then.

    A prefix that is there already gets the new row; one that needs too many probes is not added.
    """
    hashed = hash_bytes(place, length)
    mask = _U(slots.shape[0] - 1)
    slot = hashed & mask
    header = _U(row) | _U(generation[row]) << _HALF
    for _ in range(_PROBES):
        held = slots[slot]
        if held == 0:
            slots[slot] = (hashed >> _HALF) << _HALF | _U(used + 1)
            arena[used] = header
            arena[used + 1] = _U(length)
            used += _HEADER // 8
            words = length >> 3
            for i in range(words):
                arena[used + i] = load64(place + 8 * i)
            used += words
            rest = length & 7
            if rest:
                arena[used] = load64(place + 8 * words) & (_ALL >> _U(64 - 8 * rest))
                used += 1
            return used
        if (held >> _HALF) == (hashed >> _HALF):
            entry = np.int64(held & _LOW_HALF) - 1
            if _holds(arena.ctypes.data + 8 * entry, place, length):
                arena[entry] = header
                return used
        slot = (slot + _U(1)) & mask
    return used


@njit(cache=True, nogil=True)
def _relink(slots, arena, used, generation):  # type: ignore[no-untyped-def]
    """Drop stale entries from the arena, in place, and link the others into the empty `slots`."""
    mask = _U(slots.shape[0] - 1)
    count = 0
    kept = np.int64(0)
    entry = np.int64(0)
    while entry < used:
        length = np.int64(arena[entry + 1])
        words = words_of(length)
        row = np.int64(arena[entry] & _LOW_HALF)
        if _U(generation[row]) == arena[entry] >> _HALF:
            for i in range(words):
                arena[kept + i] = arena[entry + i]
            hashed = hash_bytes(arena.ctypes.data + 8 * (kept + _HEADER // 8), length)
            slot = hashed & mask
            probes = 0
            while slots[slot] != 0 and probes < _PROBES:
                slot = (slot + _U(1)) & mask
                probes += 1
            if probes < _PROBES:
                slots[slot] = (hashed >> _HALF) << _HALF | _U(kept + 1)
                count += 1
                kept += words
        entry += words
    return count, kept
