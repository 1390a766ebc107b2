"""The series of one partition of `metrics`: their models, alerts and last times, in rows that last."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.port import DetectorError, TunableBank
from detectors.with_groups import WithGroups
from streams.alerts import QUIET, AlertBook
from streams.alerts import ROW as ALERT_ROW
from streams.ingest import NEVER, SeriesIndex, offsets_of
from streams.ingest.labels import parse_key
from streams.partition import COLD, Recall
from streams.pools import NOTHING, Commons, is_pool
from streams.record import Record
from streams.silent import SILENT
from streams.targets import Roles
from streams.unsaved import Unsaved

log = logging.getLogger(__name__)

LAYOUT = 2
NEVER_EVICT = 1 << 62
EVICT_AT_ONCE = 10_000  # so that a checkpoint does not take long


class Block(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, array_like=True):
    """Rows `start`..`start + len(series)` of a partition, as they stand in the changelog.

    `series` holds their keys, "" for a free row. `offset` is the last input offset whose effect the rows
    contain.
    """

    layout: int
    start: int
    offset: int
    series: list[str]
    last_time: bytes
    bank: memoryview  # of the block's bytes: what is largest is not copied
    alerts: bytes


@dataclass(slots=True)
class Counts:
    """What became of the input, for telemetry."""

    samples: int = 0
    records: int = 0
    dead_letters: int = 0
    anomalies: int = 0
    alerts: int = 0
    replayed: int = 0
    evicted: int = 0
    recalled: int = 0
    moved: int = 0  # series whose threshold is not as calibrated
    feedback: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, policy: str, count: int) -> None:
        """Count samples that are data but were not used."""
        if count:
            self.dropped[policy] = self.dropped.get(policy, 0) + count


class SeriesRows:
    """One row per series: what it is used for, what has been learnt of it, and what of that is written.

    `bank` and `book` keep the models and the alerts of the rows; `counts` is shared with the partition.
    """

    def __init__(
        self,
        source: int,
        *,
        bank: TunableBank,
        book: AlertBook,
        roles: Roles,
        counts: Counts,
        block_rows: int,
        evict_after_ms: int,
        commons: Commons = NOTHING,
    ) -> None:
        self.source = source
        self.bank = bank
        self.book = book
        self.index = SeriesIndex()
        self.last_time = np.full(0, NEVER, np.int64)
        self.role = np.full(0, -1, np.int64)
        self.target = np.full(0, -1, np.int64)
        self.pool = np.full(0, -1, np.int64)  # the row that learns what similar series have in common
        self.group = np.full(0, -1, np.int64)  # the row that watches the series of a group together
        self.offset = -1  # last input offset processed
        self._roles = roles
        self._commons = commons
        self._counts = counts
        self._block_rows = block_rows
        self._evict_after = evict_after_ms
        self._newest = 0  # event time, Unix ms
        self._recall: Recall = lambda key: None
        self._told: set[str] = set()
        self._unsaved = Unsaved(block_rows)
        self._evicted: dict[bytes, bytes] = {}  # cold series to be written
        self._leaving: dict[bytes, bytes] = {}  # cold series on their way to the changelog
        self._recalled: dict[bytes, int] = {}  # cold keys that are live again, to be forgotten: their row
        self._outdated: list[bytes] = []  # keys of blocks of another size, to be forgotten
        self._rows = 0
        # Rows restored from the changelog know the input up to here; None once the replay has passed it.
        self._learnt: NDArray[np.int64] | None = None

    # -- while samples come ----------------------------------------------------------------------

    def unlearnt(
        self, records: Sequence[Record], record: NDArray[np.int32], row: NDArray[np.int64]
    ) -> NDArray[np.bool_] | None:
        """Which samples the rows have not learnt already, by the offsets of their records; None: all."""
        if self._learnt is None or not len(row):
            return None
        offsets = offsets_of(records)
        fresh: NDArray[np.bool_] = offsets[record] > self._learnt[row]
        if offsets[-1] >= self._learnt.max(initial=-1):
            self._learnt = None
        return fresh

    @property
    def count(self) -> int:
        """Rows that exist, free ones included."""
        return self._rows

    def mark(self, rows: Iterable[int]) -> None:
        """Note that these rows have changed without a sample."""
        for row in rows:
            self._unsaved.note_row(row, self.offset)

    def of_metric(self, metric: str) -> NDArray[np.int64]:
        """The rows of a metric's series."""
        return np.array([row for row in self.index if self.index.metric(row) == metric], np.int64)

    def touch(self, row: NDArray[np.int64], time: NDArray[np.int64]) -> None:
        """Note that samples of these rows and times are about to be learnt."""
        self._newest = max(self._newest, int(time.max(initial=0)))
        self._unsaved.note(row, self.offset)

    def make_room(self, count: int) -> list[int]:
        """Make rows 0..count-1 exist, and ready those that new series were given; return these."""
        opened: list[int] = []
        self._extend(count)
        while fresh := self.index.take_fresh():  # opening a series may begin its pool
            self._extend(self.index.extent)
            for row in fresh:
                self._open(row)
            opened += [row for row in fresh if not is_pool(self.index.key(row))]
        return opened

    def _extend(self, count: int) -> None:
        if count <= self._rows:
            return
        self.bank.grow(count)
        self.book.grow(count)
        capacity = len(self.last_time)
        if count > capacity:
            capacity = max(count, 2 * capacity, 64)
            self.last_time = _grown(self.last_time, capacity, NEVER)
            self.role = _grown(self.role, capacity, -1)
            self.target = _grown(self.target, capacity, -1)
            self.pool = _grown(self.pool, capacity, -1)
            self.group = _grown(self.group, capacity, -1)
            self._unsaved.grow(capacity)
            if self._learnt is not None:
                self._learnt = _grown(self._learnt, capacity, -1)
        self._rows = count

    def _open(self, row: int) -> None:
        """Give a row to its new series: what it is used for, and what is known of it from before."""
        self._assign(row)
        key = COLD + self.index.key(row).encode()
        stored = self._evicted.pop(key, None) or self._leaving.get(key) or self._recall(key)
        if stored is not None and (block := self._decode(stored)) is not None:
            self._load(block, row)
            self._unsaved.note_row(row, self.offset)
            self._recalled[key] = row
            self._counts.recalled += 1

    def _assign(self, row: int) -> None:
        if not (self._roles or self.book.rules or self._commons) or is_pool(self.index.key(row)):
            return
        metric, labels = self.index.metric(row), self.index.labels(row)
        if (pool := self._commons.pool(metric, labels)) is not None:
            self.pool[row] = self.index.row(*pool)
        if isinstance(self.bank, WithGroups) and (group := self._commons.group(metric, labels)) is not None:
            self.group[row] = self.index.row(*group[:2])
            self.bank.join(row, int(self.group[row]), group[2])
        self.target[row], self.role[row] = self._roles.of(metric, labels)
        self.book.rule[row] = self.book.rules.of(metric, labels, self._roles.name(int(self.target[row])))

    # -- state -------------------------------------------------------------------------------------

    def changed(self) -> int:
        """How many blocks there are to write now; series that fell silent have become cold ones before."""
        for row in self._silent():
            self._evict(row)
        return len(self._unsaved)

    @property
    def durable(self) -> int | None:
        """Input up to this offset is in the snapshots taken so far; None where all is that was processed."""
        return self._unsaved.offset

    def snapshot(self, most: int | None = None) -> list[tuple[bytes, bytes | None]]:
        """At most so many of the blocks that changed since they were last in a snapshot, the oldest first.

        The earlier snapshots are written when another one is taken.
        """
        if self._outdated:
            most = None  # rows of one such block may lie in several of today's
        if most is None:
            self.changed()
        self._leaving, self._evicted = self._evicted, {}
        numbers = self._unsaved.take(most)
        blocks = [(str(number).encode(), self.block(number)) for number in numbers]
        # In this order a crash loses nothing: at worst a series is both cold and live, and live wins.
        written = set(numbers)
        forgotten = [key for key, row in self._recalled.items() if row // self._block_rows in written]
        for key in forgotten:
            del self._recalled[key]
        outdated, self._outdated = self._outdated, []
        return [*self._leaving.items(), *blocks, *((key, None) for key in [*forgotten, *outdated])]

    def holds(self, number: int) -> bool:
        """Whether there is a block of this number in memory."""
        return 0 <= number * self._block_rows < self._rows

    def block(self, number: int) -> bytes:
        """The rows of a block as of now, as they stand in the changelog."""
        start = number * self._block_rows
        return self._encode(start, min(start + self._block_rows, self._rows))

    def _silent(self) -> list[int]:
        """Rows to evict: nothing heard for long, no alert open."""
        last = self.last_time[: self._rows]
        quiet = (last != NEVER) & (last < self._newest - self._evict_after)
        quiet &= self.book.rows["state"][: self._rows] == QUIET
        quiet &= self.book.rows["silent"][: self._rows] != SILENT
        rows: list[int] = np.flatnonzero(quiet)[:EVICT_AT_ONCE].tolist()
        return rows

    def _evict(self, row: int) -> None:
        key = COLD + self.index.key(row).encode()
        self._evicted[key] = self._encode(row, row + 1)
        self._recalled.pop(key, None)
        self.index.release(row)
        self._clear(row)
        self._unsaved.note_row(row, self.offset)
        self._counts.evicted += 1

    def _clear(self, row: int) -> None:
        """Make a row as if it had never been used."""
        self.bank.reset(row)
        self.last_time[row] = NEVER
        self.role[row] = self.target[row] = self.pool[row] = self.group[row] = -1
        self.book.rows[row] = np.zeros((), ALERT_ROW)
        self.book.rule[row] = 0
        if self._learnt is not None:
            self._learnt[row] = -1

    def _encode(self, start: int, stop: int) -> bytes:
        series = [self.index.name(row) for row in range(start, stop)]
        offset = self.offset
        if self._learnt is not None:  # rows that were restored may know more than what was read since
            used = [start + i for i, name in enumerate(series) if name]
            if used:
                offset = max(offset, int(self._learnt[used].min()))
        block = Block(
            layout=LAYOUT,
            start=start,
            offset=offset,
            series=series,
            last_time=self.last_time[start:stop].tobytes(),
            bank=memoryview(self.bank.dump(start, stop)),
            alerts=self.book.rows[start:stop].tobytes(),
        )
        return msgspec.msgpack.encode(block)

    def restore(self, blocks: Mapping[bytes, bytes], recall: Recall) -> None:
        """Take over blocks that an earlier owner wrote.

        A series that two blocks claim (a crash came while it moved) is taken from the newer one. Blocks
        of another size are written anew; what cannot be used is told in the log and learnt anew.
        """
        self._recall = recall
        found = [(key, block) for key, data in blocks.items() if (block := self._decode(data)) is not None]
        owner: dict[str, tuple[int, int]] = {}  # series: (offset of its newest block, row)
        taken: dict[int, int] = {}  # row: offset of the newest block that has it
        claimed_twice: list[int] = []  # rows
        for _, block in found:
            for row, series in enumerate(block.series, block.start):
                if not series or (is_pool(series) and not self._commons.keeps(series)):
                    continue
                known = owner.get(series)
                if known is not None:
                    claimed_twice += [known[1], row]
                if known is None or block.offset >= known[0]:
                    owner[series] = (block.offset, row)
        for offset, row in owner.values():
            taken[row] = max(offset, taken.get(row, -1))
        entries = [(row, series) for series, (offset, row) in owner.items() if taken[row] == offset]
        self.index.restore(entries)
        self.make_room(max((block.start + len(block.series) for _, block in found), default=0))
        self._learnt = np.full(len(self.last_time), -1, np.int64)
        for _, block in sorted(found, key=lambda each: each[1].offset):
            self._load(block, block.start)
        live = np.zeros(self._rows, np.bool_)
        live[[row for row, _ in entries]] = True
        for row in np.flatnonzero(~live).tolist():
            self._clear(row)
        for row, _ in entries:
            self._assign(row)
        self.make_room(self.index.extent)
        self._newest = int(self.last_time.max(initial=0))
        self._unsaved.clear()
        for row in claimed_twice:  # so that no old claim outlives the newer one
            self._unsaved.note_row(row, self.offset)
        wrong = [key for key, block in found if key != str(block.start // self._block_rows).encode()]
        wrong += [key for key, b in found if b.start % self._block_rows or len(b.series) > self._block_rows]
        if wrong or len(found) < len(blocks):
            log.warning("partition %d: %d blocks are written anew", self.source, len(blocks))
            self._unsaved.note(np.arange(self._rows), self.offset)
            numbers = {str(number).encode() for number in range(-(-self._rows // self._block_rows))}
            self._outdated = [key for key in blocks if key not in numbers]

    def series(self) -> list[str]:
        """Keys of the series in memory."""
        return [key for row in self.index if not is_pool(key := self.index.key(row))]

    def model(self, series: str) -> bytes:
        """The state of a series' model. Raises KeyError where the series is not known."""
        row = self._wake(series)
        if row is None:
            raise KeyError(series)
        return self.bank.dump(row, row + 1)

    def revert(self, series: str, old: "SeriesRows") -> bool:
        """Give the series' model the state that it has in `old`; False where one of them lacks the series."""
        row, old_row = self._wake(series), old._wake(series)
        if row is None or old_row is None:
            return False
        self.bank.load(row, row + 1, old.bank.dump(old_row, old_row + 1))
        self._unsaved.note_row(row, self.offset)
        return True

    def _wake(self, series: str) -> int | None:
        """The row of a known series, recalled where it is cold."""
        metric, labels = parse_key(series)
        row = self.index.find(metric, labels)
        if row < 0 and self._recall(COLD + series.encode()) is not None:
            row = self.index.row(metric, labels)
            self.make_room(self.index.extent)
        return row if row >= 0 else None

    def _load(self, block: Block, start: int) -> None:
        """Put the rows of a block in place, from row `start` on."""
        rows = slice(start, start + len(block.series))
        self.last_time[rows] = np.frombuffer(block.last_time, np.int64)
        self.book.rows[rows] = np.frombuffer(block.alerts, ALERT_ROW)
        if self._learnt is not None:
            self._learnt[rows] = block.offset
        try:
            self.bank.load(rows.start, rows.stop, bytes(block.bank))
        except DetectorError as error:
            self._learn_anew(f"models: {error}")

    def _decode(self, data: bytes) -> Block | None:
        """The block in `data`; None where this program cannot use it."""
        try:
            block = msgspec.msgpack.decode(data, type=Block)
        except msgspec.MsgspecError as error:
            self._learn_anew(f"block: {error}")
            return None
        if block.layout != LAYOUT:
            self._learn_anew(f"block: layout {block.layout}, expected {LAYOUT}")
            return None
        return block

    def _learn_anew(self, reason: str) -> None:
        """Tell once, not for each block, that stored state cannot be used."""
        if reason not in self._told:
            self._told.add(reason)
            log.warning(
                "partition %d: stored state that does not fit is learnt anew: %s", self.source, reason
            )


T = TypeVar("T", bound=np.generic)


def _grown(array: NDArray[T], capacity: int, fill: int | bool) -> NDArray[T]:
    grown = np.full(capacity, fill, array.dtype)
    grown[: len(array)] = array
    return grown
