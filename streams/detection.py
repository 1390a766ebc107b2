"""The state of one partition of `metrics`, and what its samples lead to: anomalies, alerts, signals."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.port import Bank, DetectorError, Scores
from schemas import Alert, Anomaly, Evidence, Signal
from streams.alerts import QUIET, AlertBook, Transition, fingerprint
from streams.alerts import ROW as ALERT_ROW
from streams.config import AlertConfig
from streams.ingest import NEVER, Decoder, Limits, SeriesIndex, admit, dead_letter, offsets_of
from streams.ingest.labels import parse_key
from streams.output import Output, output
from streams.partition import COLD, Recall
from streams.record import Record
from streams.targets import Roles

log = logging.getLogger(__name__)

LAYOUT = 1
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
    bank: bytes
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
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, policy: str, count: int) -> None:
        """Count samples that are data but were not used."""
        if count:
            self.dropped[policy] = self.dropped.get(policy, 0) + count


class DetectPartition:
    """Models, alerts and series of one source partition. Deterministic: equal input, equal output."""

    def __init__(
        self,
        source: int,
        *,
        bank: Bank,
        alerts: AlertConfig,
        roles: Roles,
        limits: Limits,
        block_rows: int,
        evict_after_ms: int = NEVER_EVICT,
    ) -> None:
        self.source = source
        self.bank = bank
        self.counts = Counts()
        self._index = SeriesIndex()
        self._decoder = Decoder(self._index, limits)
        self._book = AlertBook(alerts)
        self._alert_config = alerts
        self._roles = roles
        self._block_rows = block_rows
        self._evict_after = evict_after_ms
        self._newest = 0  # event time, Unix ms
        self._recall: Recall = lambda key: None
        self._told: set[str] = set()
        self._recalled: list[bytes] = []  # cold keys that are live again, to be forgotten
        self._last_time = np.full(0, NEVER, np.int64)
        self._role = np.full(0, -1, np.int64)
        self._target = np.full(0, -1, np.int64)
        self._dirty = np.zeros(0, np.bool_)
        self._rows = 0
        self._offset = -1
        # Rows restored from the changelog know the input up to here; None once the replay has passed it.
        self._learnt: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self._index)

    @property
    def offset(self) -> int:
        """The last input offset processed, -1 before the first."""
        return self._offset

    # -- input ---------------------------------------------------------------------------------

    def process(self, records: Sequence[Record], now_ms: int) -> list[Output]:
        """Learn from `records` (of this partition, ascending offsets); return what they lead to."""
        if records and records[0].offset <= self._offset:  # a rebalance went back to what was committed
            records = records[int(np.searchsorted(offsets_of(records), self._offset, side="right")) :]
        batch = self._decoder.decode(records, now_ms)
        outputs = [
            output("dead-letters", records[r.record].topic, dead_letter(records[r.record], r.reason))
            for r in batch.rejects
        ]
        self.counts.records += len(records)
        self.counts.dead_letters += len(batch.rejects)
        for policy, count in batch.dropped.items():
            self.counts.drop(policy, count)
        self._make_room(self._index.extent)
        columns = batch.columns
        row, time, value, record = columns.row, columns.time, columns.value, columns.record
        if self._learnt is not None and len(row):
            offsets = offsets_of(records)
            fresh = offsets[record] > self._learnt[row]
            self.counts.replayed += int(len(fresh) - fresh.sum())
            row, time, value, record = row[fresh], time[fresh], value[fresh], record[fresh]
            if offsets[-1] >= self._learnt.max(initial=-1):
                self._learnt = None
        admitted = admit(row, time, value, self._last_time)
        self.counts.drop("late", admitted.late)
        self.counts.drop("duplicate", admitted.duplicate)
        if not admitted.mask.all():
            mask = admitted.mask
            row, time, value, record = row[mask], time[mask], value[mask], record[mask]
        if len(row):
            self._newest = max(self._newest, int(time.max()))
            self._dirty[np.unique(row // self._block_rows)] = True
            self.counts.samples += len(row)
            scores = self.bank.update(row, time, value)
            outputs += self._model_errors(records, record, row, scores)
            outputs += self._anomalies(records, record, row, time, value, scores)
            outputs += self._signals(row, time, value)
        if records:
            self._offset = records[-1].offset
        return outputs

    def _make_room(self, count: int) -> None:
        """Make rows 0..count-1 exist, and ready those that new series were given."""
        if count > self._rows:
            self.bank.grow(count)
            self._book.grow(count)
            capacity = len(self._last_time)
            if count > capacity:
                capacity = max(count, 2 * capacity, 64)
                self._last_time = _grown(self._last_time, capacity, NEVER)
                self._role = _grown(self._role, capacity, -1)
                self._target = _grown(self._target, capacity, -1)
                self._dirty = _grown(self._dirty, -(-capacity // self._block_rows), False)
                if self._learnt is not None:
                    self._learnt = _grown(self._learnt, capacity, -1)
            self._rows = count
        for row in self._index.take_fresh():
            self._open(row)

    def _open(self, row: int) -> None:
        """Give a row to its new series: what it is used for, and what is known of it from before."""
        if self._roles:
            self._assign(row)
        key = COLD + self._index.key(row).encode()
        stored = self._recall(key)
        if stored is not None and (block := self._decode(stored)) is not None:
            self._load(block, row)
            self._dirty[row // self._block_rows] = True  # it is written before the cold one is forgotten
            self._recalled.append(key)
            self.counts.recalled += 1

    def _assign(self, row: int) -> None:
        self._target[row], self._role[row] = self._roles.of(self._index.metric(row), self._index.labels(row))

    def _model_errors(
        self,
        records: Sequence[Record],
        record: NDArray[np.int32],
        row: NDArray[np.int64],
        scores: Scores,
    ) -> list[Output]:
        self.counts.dead_letters += len(scores.errors)
        return [
            output(
                "dead-letters",
                records[record[i]].topic,
                dead_letter(
                    records[record[i]], f"{self.bank.name} on {self._index.key(int(row[i]))}: {error}"
                ),
            )
            for i, error in scores.errors.items()
        ]

    # -- output --------------------------------------------------------------------------------

    def _anomalies(
        self,
        records: Sequence[Record],
        record: NDArray[np.int32],
        row: NDArray[np.int64],
        time: NDArray[np.int64],
        value: NDArray[np.float64],
        scores: Scores,
    ) -> list[Output]:
        outside = (value < scores.lower) | (value > scores.upper)
        outputs = []
        for i in np.flatnonzero(scores.alarm).tolist():
            source = records[record[i]]
            series = self._index.key(int(row[i]))
            target = int(self._target[row[i]])
            anomaly = Anomaly(
                id=f"{source.topic}:{source.partition}:{source.offset}:{fingerprint(f'{series}@{time[i]}')}",
                series=series,
                metric=self._index.metric(int(row[i])),
                labels=self._index.labels(int(row[i])),
                target=self._roles.name(target),
                ts=int(time[i]),
                value=float(value[i]),
                score=float(scores.score[i]),
                expected=_number(scores.expected[i]),
                lower=_number(scores.lower[i]),
                upper=_number(scores.upper[i]),
                evidence=self._evidence(scores, i),
                detector=f"{self.bank.name}/{self.bank.version}",
                produced_at=source.timestamp,
            )
            outputs.append(output("anomalies", series, anomaly))
        self.counts.anomalies += len(outputs)
        changes = self._book.step(row, time, scores.alarm, outside)
        self.counts.alerts += len(changes)
        return outputs + [self._alert(change, value, scores) for change in changes]

    def _evidence(self, scores: Scores, i: int) -> list[Evidence]:
        strengths = zip(self.bank.evidence, scores.evidence[i].tolist(), strict=True)
        found = [
            Evidence(name=name, strength=round(strength, 3)) for name, strength in strengths if strength > 0
        ]
        return sorted(found, key=lambda evidence: -evidence.strength)

    def _alert(self, change: Transition, value: NDArray[np.float64], scores: Scores) -> Output:
        series = self._index.key(change.row)
        i = change.index
        expected = _number(scores.expected[i])
        told = "no expectation yet" if expected is None else f"expected about {expected:.6g}"
        message = Alert(
            fingerprint=fingerprint(series),
            state=change.state,
            series=series,
            labels=self._index.labels(change.row),
            target=self._roles.name(int(self._target[change.row])),
            severity=self._alert_config.severity,
            summary=f"{series} is {value[i]:.6g}, {told}",
            anomaly=f"{fingerprint(series)}:{change.started_at}",
            anomalies=change.anomalies,
            started_at=change.started_at,
            changed_at=change.changed_at,
            resolved_at=change.changed_at if change.state == "resolved" else None,
            suppressed=change.suppressed,
            runbook=self._alert_config.runbook,
        )
        return output("alerts", message.fingerprint, message)

    def _signals(
        self, row: NDArray[np.int64], time: NDArray[np.int64], value: NDArray[np.float64]
    ) -> list[Output]:
        used = np.flatnonzero(self._role[row] >= 0)
        outputs = []
        for r in np.unique(row[used]).tolist():
            mine = used[row[used] == r]
            target, series = self._roles.name(int(self._target[r])), self._index.key(r)
            assert target is not None  # noqa: S101
            message = Signal(
                target=target,
                series=series,
                role=self._roles.role(int(self._role[r])),
                arm=self._roles.arm(self._index.labels(r)),
                times=time[mine].tolist(),
                values=value[mine].tolist(),
                source=self.source,
            )
            outputs.append(output("signals", target, message))
        return outputs

    # -- state ---------------------------------------------------------------------------------

    def snapshot(self) -> list[tuple[bytes, bytes | None]]:
        """Blocks changed since the last snapshot; series that fell silent become cold ones."""
        silent = self._silent()
        cold = [(COLD + self._index.key(row).encode(), self._encode(row, row + 1)) for row in silent]
        for row in silent:
            self._evict(row)
        changed = np.flatnonzero(self._dirty).tolist()
        self._dirty[:] = False
        size = self._block_rows
        blocks = [
            (str(number).encode(), self._encode(number * size, min((number + 1) * size, self._rows)))
            for number in changed
        ]
        # In this order a crash loses nothing: at worst a series is both cold and live, and live wins.
        evicted = {key for key, _ in cold}
        forgotten = [(key, None) for key in self._recalled if key not in evicted]
        self._recalled = []
        return [*cold, *blocks, *forgotten]

    def _silent(self) -> list[int]:
        """Rows to evict: nothing heard for long, no alert open."""
        last = self._last_time[: self._rows]
        quiet = (last != NEVER) & (last < self._newest - self._evict_after)
        quiet &= self._book.rows["state"][: self._rows] == QUIET
        rows: list[int] = np.flatnonzero(quiet)[:EVICT_AT_ONCE].tolist()
        return rows

    def _evict(self, row: int) -> None:
        self._index.release(row)
        self._clear(row)
        self._dirty[row // self._block_rows] = True
        self.counts.evicted += 1

    def _clear(self, row: int) -> None:
        """Make a row as if it had never been used."""
        self.bank.reset(row)
        self._last_time[row] = NEVER
        self._role[row] = self._target[row] = -1
        self._book.rows[row] = np.zeros((), ALERT_ROW)
        if self._learnt is not None:
            self._learnt[row] = -1

    def _encode(self, start: int, stop: int) -> bytes:
        block = Block(
            layout=LAYOUT,
            start=start,
            offset=self._offset,
            series=[self._index.name(row) for row in range(start, stop)],
            last_time=self._last_time[start:stop].tobytes(),
            bank=self.bank.dump(start, stop),
            alerts=self._book.rows[start:stop].tobytes(),
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
        for _, block in found:
            for row, series in enumerate(block.series, block.start):
                if series and block.offset >= owner.get(series, (-1, 0))[0]:
                    owner[series] = (block.offset, row)
        for offset, row in owner.values():
            taken[row] = max(offset, taken.get(row, -1))
        entries = [(row, series) for series, (offset, row) in owner.items() if taken[row] == offset]
        self._index.restore(entries)
        self._make_room(max((block.start + len(block.series) for _, block in found), default=0))
        self._learnt = np.full(len(self._last_time), -1, np.int64)
        for _, block in sorted(found, key=lambda each: each[1].offset):
            self._load(block, block.start)
        live = np.zeros(self._rows, np.bool_)
        live[[row for row, _ in entries]] = True
        for row in np.flatnonzero(~live).tolist():
            self._clear(row)
        for row, _ in entries if self._roles else ():
            self._assign(row)
        self._newest = int(self._last_time.max(initial=0))
        self._dirty[:] = False
        wrong = [key for key, block in found if key != str(block.start // self._block_rows).encode()]
        wrong += [key for key, b in found if b.start % self._block_rows or len(b.series) > self._block_rows]
        if wrong or len(found) < len(blocks):
            log.warning("partition %d: %d blocks are written anew", self.source, len(blocks))
            self._dirty[: -(-self._rows // self._block_rows)] = True
            numbers = {str(number).encode() for number in np.flatnonzero(self._dirty).tolist()}
            self._recalled = [key for key in blocks if key not in numbers]

    def series(self) -> list[str]:
        """Keys of the series in memory."""
        return [self._index.key(row) for row in self._index]

    def model(self, series: str) -> bytes:
        """The state of a series' model. Raises KeyError where the series is not known."""
        row = self._wake(series)
        if row is None:
            raise KeyError(series)
        return self.bank.dump(row, row + 1)

    def revert(self, series: str, old: "DetectPartition") -> bool:
        """Give the series' model the state that it has in `old`; False where one of them lacks the series."""
        row, old_row = self._wake(series), old._wake(series)
        if row is None or old_row is None:
            return False
        self.bank.load(row, row + 1, old.bank.dump(old_row, old_row + 1))
        self._dirty[row // self._block_rows] = True
        return True

    def _wake(self, series: str) -> int | None:
        """The row of a known series, recalled where it is cold."""
        metric, labels = parse_key(series)
        row = self._index.find(metric, labels)
        if row < 0 and self._recall(COLD + series.encode()) is not None:
            row = self._index.row(metric, labels)
            self._make_room(self._index.extent)
        return row if row >= 0 else None

    def _load(self, block: Block, start: int) -> None:
        """Put the rows of a block in place, from row `start` on."""
        rows = slice(start, start + len(block.series))
        self._last_time[rows] = np.frombuffer(block.last_time, np.int64)
        self._book.rows[rows] = np.frombuffer(block.alerts, ALERT_ROW)
        if self._learnt is not None:
            self._learnt[rows] = block.offset
        try:
            self.bank.load(rows.start, rows.stop, block.bank)
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


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
