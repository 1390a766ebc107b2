"""One partition of `metrics`: what its samples lead to: anomalies, alerts, signals, dead letters."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.port import Bank, Scores, TunableBank
from detectors.similar import judged_by_similar, parted
from detectors.with_groups import WithGroups
from schemas import Anomaly, Evidence, Signal, encode
from schemas.control import Tick
from streams.alerts import AlertBook, fingerprint
from streams.changes import Changes
from streams.config import AlertConfig
from streams.ingest import Columns, Decoder, Limits, admit, dead_letter, offsets_of, timestamps_of
from streams.output import Output, output
from streams.partition import Recall
from streams.pools import NOTHING, Commons
from streams.record import Record
from streams.rules import Grouping, Rules
from streams.series_rows import NEVER_EVICT, Counts, SeriesRows
from streams.steering import STEERING, Steering
from streams.targets import Roles

HEAD_MS = 60_000
"""Within this time of a batch's first sample, all series are told before the rest of any."""


BY_SIMILAR = " of similar series"
"""Said of the detector where a series was too young for one of its own."""


class DetectPartition:
    """Models, alerts and series of one source partition. Deterministic: equal input, equal output."""

    def __init__(
        self,
        source: int,
        *,
        bank: TunableBank,
        alerts: AlertConfig,
        roles: Roles,
        limits: Limits,
        block_rows: int,
        evict_after_ms: int = NEVER_EVICT,
        commons: Commons = NOTHING,
    ) -> None:
        self.source = source
        self.bank = bank
        self.counts = Counts()
        self.rows = SeriesRows(
            source,
            bank=bank,
            book=AlertBook(Rules(alerts)),
            roles=roles,
            counts=self.counts,
            block_rows=block_rows,
            evict_after_ms=evict_after_ms,
            commons=commons,
        )
        self._commons = commons
        self.steering = Steering(self.rows, self.counts, gone_ms=evict_after_ms)
        self._changes = Changes(self.rows, roles, Grouping(alerts.incidents))
        self._decoder = Decoder(self.rows.index, limits)
        self._roles = roles

    def __len__(self) -> int:
        return len(self.rows.index)

    # -- input ---------------------------------------------------------------------------------

    def process(self, records: Sequence[Record], now_ms: int) -> list[Output]:
        """Learn from `records` (of this partition, ascending offsets); return what they lead to."""
        if records and records[0].offset <= self.rows.offset:  # a rebalance went back to what was committed
            records = records[int(np.searchsorted(offsets_of(records), self.rows.offset, side="right")) :]
        outputs: list[Output] = []
        for part in self.steering.split(records):
            outputs += self._steer(part[0].offset)
            outputs += self._learn(part, now_ms)
        return outputs + self.due()

    def _learn(self, records: Sequence[Record], now_ms: int) -> list[Output]:
        batch = self._decoder.decode(records, now_ms)
        outputs = [
            output("dead-letters", records[r.record].topic, dead_letter(records[r.record], r.reason))
            for r in batch.rejects
        ]
        self.counts.records += len(records)
        self.counts.dead_letters += len(batch.rejects)
        for policy, count in batch.dropped.items():
            self.counts.drop(policy, count)
        self.steering.opened(self.rows.make_room(self.rows.index.extent))
        columns = batch.columns
        row, time, value, record = columns.row, columns.time, columns.value, columns.record
        clock = self.steering.clocks(time, timestamps_of(records)[record]) if self.steering.watching else None
        keep, pooled, grouped = self._unlearnt(records, record, row)
        at = np.arange(len(row))
        if keep is not None:
            at = at[keep]
            self.counts.replayed += int(len(keep) - keep.sum())
            row, time, value, record = row[keep], time[keep], value[keep], record[keep]
            clock = clock[keep] if clock is not None else None
        before = self.rows.last_time.copy() if clock is not None else None
        admitted = admit(row, time, value, self.rows.last_time)
        self.counts.drop("late", admitted.late)
        self.counts.drop("duplicate", admitted.duplicate)
        if not admitted.mask.all():
            mask = admitted.mask
            row, time, value, record, at = row[mask], time[mask], value[mask], record[mask], at[mask]
            clock = clock[mask] if clock is not None else None
        if len(row) or len(pooled):
            pools = self.rows.pool[columns.row[pooled]]
            self.rows.touch(np.concatenate([row, pools]), time)
            self.counts.samples += len(row)
            if clock is not None and before is not None:
                outputs += self._changes.silent(self.steering.heard(row, time, before, clock))
            if len(pooled):
                scores = self._update_with_pools(row, time, value, at, columns, pooled)
            else:
                scores = self.bank.update(row, time, value)
            self.counts.drop("slow-model", scores.unscored)
            outputs += self._model_errors(records, record, row, scores)
            outputs += self._anomalies(records, record, row, time, value, scores, self.bank)
            outputs += self._signals(row, time, value)
        if len(grouped) and isinstance(self.bank, WithGroups):
            outputs += self._watch_groups(self.bank, records, columns, grouped)
        if clock is not None:
            outputs += self._changes.silent(self.steering.passed(self.steering.clock))
        self.rows.offset = records[-1].offset
        return outputs

    def _unlearnt(
        self, records: Sequence[Record], record: NDArray[np.int32], row: NDArray[np.int64]
    ) -> tuple[NDArray[np.bool_] | None, NDArray[np.int64], NDArray[np.int64]]:
        """Which samples the rows have to learn (None: all), and those that their pools and groups have.

        Pools and groups learn every sample that could be read, late ones too, so that a replay gives them
        the same.
        """
        if not self._commons:
            none = np.zeros(0, np.int64)
            return self.rows.unlearnt(records, record, row), none, none
        pool, group = self.rows.pool[row], self.rows.group[row]
        fresh = self.rows.unlearnt(records, np.tile(record, 3), np.concatenate([row, pool, group]))
        if fresh is None:
            return None, np.flatnonzero(pool >= 0), np.flatnonzero(group >= 0)
        own, of_pool, of_group = np.split(fresh, 3)
        return own, np.flatnonzero(of_pool & (pool >= 0)), np.flatnonzero(of_group & (group >= 0))

    def _watch_groups(
        self, bank: WithGroups, records: Sequence[Record], columns: Columns, grouped: NDArray[np.int64]
    ) -> list[Output]:
        """What the models of groups say of the columns' samples at `grouped`."""
        member, time, value = columns.row[grouped], columns.time[grouped], columns.value[grouped]
        group, record = self.rows.group[member], columns.record[grouped]
        self.rows.touch(group, time)
        scores = bank.update_groups(member, time, value)
        self.counts.drop("slow-model", scores.unscored)
        return [
            *self._model_errors(records, record, group, scores),
            *self._anomalies(records, record, group, time, value, scores, bank.groups),
        ]

    def _update_with_pools(
        self,
        row: NDArray[np.int64],
        time: NDArray[np.int64],
        value: NDArray[np.float64],
        at: NDArray[np.int64],
        columns: Columns,
        pooled: NDArray[np.int64],
    ) -> Scores:
        """Scores of the rows' samples (the columns' at `at`); the pools learn those at `pooled`."""
        scores, of_pools = parted(
            self.bank.update(
                np.concatenate([row, self.rows.pool[columns.row[pooled]]]),
                np.concatenate([time, columns.time[pooled]]),
                np.concatenate([value, columns.value[pooled]]),
            ),
            len(row),
        )
        place = np.minimum(np.searchsorted(pooled, at), len(pooled) - 1)
        return judged_by_similar(scores, of_pools, np.where(pooled[place] == at, place, -1))

    def _steer(self, position: int) -> list[Output]:
        """Apply what is due before the record at `position`."""
        outputs: list[Output] = []
        for each in self.steering.due(position):
            if isinstance(each.what, Tick):
                now = each.what.now
                if self.steering.watching:
                    outputs += self._changes.silent(self.steering.passed(now))
                outputs += self._changes.abandoned(self.steering.abandoned(now))
        return outputs

    # -- from beside the samples -----------------------------------------------------------------

    def place(self, records: Sequence[Record], end: int) -> list[Output]:
        """Give controls their place, before the record at `end` or later; return dead letters.

        The place must be durable (`steering.snapshot`) before a record behind it is processed.
        """
        refused = self.steering.place(records, max(end, self.rows.offset + 1))
        return [output("dead-letters", record.topic, dead_letter(record, why)) for record, why in refused]

    def placed(self) -> list[tuple[bytes, bytes | None]]:
        """The blocks that hold the places, to be durable before a record behind them is processed."""
        return self.steering.snapshot()

    def resume(self, offset: int) -> None:
        """All input before `offset` is in the state."""
        self.rows.offset = max(self.rows.offset, offset - 1)

    def due(self) -> list[Output]:
        """Apply controls that nothing has to come before any more."""
        return self._steer(self.rows.offset + 1)

    def tick(self, now_ms: int) -> list[Output]:
        """Apply what is due, and tell the partition itself the time where that makes a series silent."""
        outputs = self.due()
        if not self.steering.wants_time(now_ms):
            return outputs
        return [
            *outputs,
            Output("detect-control", str(self.source).encode(), encode(Tick(now=now_ms)), self.source),
        ]

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
                    records[record[i]], f"{self.bank.name} on {self.rows.index.key(int(row[i]))}: {error}"
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
        bank: Bank,
    ) -> list[Output]:
        outside = (value < scores.lower) | (value > scores.upper)
        outputs = []
        for i in np.flatnonzero(scores.alarm).tolist():
            source = records[record[i]]
            series = self.rows.index.key(int(row[i]))
            target = int(self.rows.target[row[i]])
            anomaly = Anomaly(
                id=f"{source.topic}:{source.partition}:{source.offset}:{fingerprint(f'{series}@{time[i]}')}",
                series=series,
                metric=self.rows.index.metric(int(row[i])),
                labels=self.rows.index.labels(int(row[i])),
                target=self._roles.name(target),
                ts=int(time[i]),
                value=float(value[i]),
                score=float(scores.score[i]),
                expected=_number(scores.expected[i]),
                lower=_number(scores.lower[i]),
                upper=_number(scores.upper[i]),
                evidence=_evidence(bank, scores, i),
                detector=f"{bank.name}/{bank.version}{BY_SIMILAR if scores.learning[i] else ''}",
                produced_at=source.timestamp,
            )
            outputs.append(output("anomalies", series, anomaly))
        self.counts.anomalies += len(outputs)
        changes = self.rows.book.step(row, time, scores.alarm, outside, _strength(value, scores))
        self.counts.alerts += len(changes)
        return outputs + [self._changes.alert(change, value, scores) for change in changes]

    def _signals(
        self, row: NDArray[np.int64], time: NDArray[np.int64], value: NDArray[np.float64]
    ) -> list[Output]:
        """What targets use of the samples, by series.

        The first minute of all series goes before the rest of any: a planner that reads a part of it only
        knows all series before it reads on, and takes no part of the load for the whole.
        """
        used = np.flatnonzero(self.rows.role[row] >= 0)
        if not len(used):
            return []
        late = time[used] >= time[used].min() + HEAD_MS
        return self._signals_of(used[~late], row, time, value) + self._signals_of(
            used[late], row, time, value
        )

    def _signals_of(
        self,
        used: NDArray[np.int64],
        row: NDArray[np.int64],
        time: NDArray[np.int64],
        value: NDArray[np.float64],
    ) -> list[Output]:
        outputs = []
        for r in np.unique(row[used]).tolist():
            mine = used[row[used] == r]
            target, series = self._roles.name(int(self.rows.target[r])), self.rows.index.key(r)
            assert target is not None  # noqa: S101
            message = Signal(
                target=target,
                series=series,
                role=self._roles.role(int(self.rows.role[r])),
                arm=self._roles.arm(self.rows.index.labels(r)),
                times=time[mine].tolist(),
                values=value[mine].tolist(),
                source=self.source,
            )
            outputs.append(output("signals", target, message))
        return outputs

    # -- state ---------------------------------------------------------------------------------

    def changed(self) -> int:
        """How many blocks there are to write now; series that fell silent have become cold ones before."""
        return self.rows.changed()

    def snapshot(self, most: int | None = None) -> list[tuple[bytes, bytes | None]]:
        """At most so many of the blocks that changed since they were last in a snapshot, the oldest first."""
        return [*self.rows.snapshot(most), *self.steering.snapshot()]

    def holds(self, key: bytes) -> bool:
        """Whether the key is that of rows in memory."""
        return key.isdigit() and self.rows.holds(int(key))

    def block(self, key: bytes) -> bytes:
        """The rows of a block, as of now."""
        return self.rows.block(int(key))

    @property
    def durable(self) -> int | None:
        """Input up to this offset is in the snapshots taken so far; None where all is that was processed."""
        return self.rows.durable

    def restore(self, blocks: Mapping[bytes, bytes], recall: Recall) -> None:
        """Take over blocks that an earlier owner wrote."""
        self.steering.restore(blocks)
        self.rows.restore({key: block for key, block in blocks.items() if key not in STEERING}, recall)


def _strength(value: NDArray[np.float64], scores: Scores) -> NDArray[np.float64]:
    """The strongest evidence of each sample, negative below what was expected."""
    if not scores.alarm.any():
        return np.zeros(len(value))
    strongest: NDArray[np.float64] = scores.evidence.max(axis=1, initial=0.0).astype(np.float64)
    strongest[value < scores.expected] *= -1.0
    return strongest


def _evidence(bank: Bank, scores: Scores, i: int) -> list[Evidence]:
    strengths = zip(bank.evidence, scores.evidence[i].tolist(), strict=True)
    found = [Evidence(name=name, strength=round(strength, 3)) for name, strength in strengths if strength > 0]
    return sorted(found, key=lambda evidence: -evidence.strength)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
