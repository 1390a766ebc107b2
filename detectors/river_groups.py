"""River's models over groups of series: the series' values at one time are the features of one sample."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from river.base import AnomalyDetector

from detectors.budget import Budget, Meter
from detectors.pickled_rows import PickledRows
from detectors.port import F64, I64, Scores, UnknownDetectorError, blank_scores, check_batch
from detectors.river_models import DAY_MS, Judged

STALE = 5.0  # cadences after which a series that says nothing is left out
STEADY = 3  # joint samples without a new series before a model is begun with those there are


@dataclass(slots=True)
class _Feature:
    """One series of a group: its newest sample and the range seen."""

    time: int
    value: float
    low: float
    high: float

    def scaled(self) -> float:
        """The newest value as a share of the range seen so far."""
        span = self.high - self.low
        return (self.value - self.low) / span if span > 0.0 else 0.5


@dataclass(slots=True)
class _Group:
    """The model of a group, and the sample that is being put together."""

    judged: Judged
    known: frozenset[str] = frozenset()  # the features that the model was begun with
    steady: int = 0  # joint samples since a feature was new
    features: dict[str, _Feature] = field(default_factory=dict)
    begun: int = 0  # Unix ms of the first value of the sample being put together
    heard: set[str] = field(default_factory=set)  # features that have a value in it
    cadence: float = 0.0  # ms between two values of a series


class RiverGroupBank:
    """A `GroupBank` of one River anomaly detector per group of rows.

    A group's sample has a feature per series, scaled to [0, 1] by the range that the series has shown.
    Values within half a cadence make one sample. It is judged and learnt once, at the value that completes
    it: all series have one that said something within the last `STALE` cadences. Where one is late, its last
    value stands in, and the verdict comes with the first value of the next sample. All other values bring
    no verdict (score NaN). Many models take their features from the first sample they learn, so a new series
    begins the group's model anew once `STEADY` samples had no further one. A row that was never joined to a
    group is a group of its own. The state of a group is kept in its group's row; the rows joined to it keep
    none. A group whose model takes longer than `budget` leaves samples out: their score is NaN, and
    `Scores.unscored` counts them.
    """

    version = 1
    evidence = ("group",)

    def __init__(
        self,
        name: str,
        build: Callable[[], Any],
        *,
        alarms_per_series_day: float,
        key: bytes | None,
        budget: Budget | None = None,
    ) -> None:
        if not isinstance(build(), AnomalyDetector):
            raise UnknownDetectorError(f"{name} looks at one series at a time: it cannot watch groups")
        self.name = f"{name}@groups"
        self._build = build
        self._rate_per_ms = alarms_per_series_day / DAY_MS
        self._groups: PickledRows[_Group] = PickledRows(self.name, self.version, key)
        self._joined: dict[int, tuple[int, str]] = {}
        self._meter = Meter(budget) if budget is not None else None

    @property
    def row_bytes(self) -> int:
        """Size of a pickled group: that of the first used one, else of a fresh one."""
        return self._groups.bytes_of(self._fresh())

    def grow(self, count: int) -> None:
        self._groups.grow(count)

    def join(self, row: int, group: int, feature: str) -> None:
        self._joined[row] = (group, feature)

    def reset(self, row: int) -> None:
        self._groups.reset(row)
        self._joined.pop(row, None)
        if self._meter is not None:
            self._meter.forget(row)

    def update(self, rows: I64, times: I64, values: F64) -> Scores:
        check_batch(rows, times, values, len(self._groups))
        errors: dict[int, str] = {}
        out = blank_scores(len(rows), 1, errors)
        unscored = 0
        for i, (row, time, value) in enumerate(
            zip(rows.tolist(), times.tolist(), values.tolist(), strict=True)
        ):
            if math.isnan(value):
                continue
            number, feature = self._joined.get(row, (row, ""))
            if self._meter is not None and not self._meter.begin(number):
                unscored += 1
                continue
            group = self._groups[number]
            if group is None:
                group = self._groups[number] = self._fresh()
            try:
                strength = self._one(group, feature, time, value)
            except Exception as error:
                errors[i] = f"{type(error).__name__}: {error}"
                continue
            finally:
                if self._meter is not None:
                    self._meter.end(number)
            out.learning[i] = group.judged.learning
            if strength is None:
                continue
            out.score[i] = strength / (1.0 + strength)
            if not group.judged.learning:
                out.evidence[i, 0] = strength
                out.alarm[i] = out.evidence[i, 0] >= 1.0
        return replace(out, unscored=unscored)

    def _one(self, group: _Group, feature: str, time: int, value: float) -> float | None:
        """Take one value; the strength of the group's sample that it completes or ends, else None."""
        strength = None
        known = group.features.get(feature)
        if group.heard and (feature in group.heard or time - group.begun > 0.5 * group.cadence):
            strength = self._judge(group)
        if known is None:
            group.features[feature] = _Feature(time, value, value, value)
            group.steady = 0
        else:
            gap = float(max(time - known.time, 0))
            group.cadence = gap if group.cadence == 0.0 else 0.95 * group.cadence + 0.05 * gap
            known.time, known.value = max(time, known.time), value
            known.low, known.high = min(value, known.low), max(value, known.high)
        if not group.heard:
            group.begun = time
        group.heard.add(feature)
        if all(name in group.heard for name in _current(group)):
            now = self._judge(group)
            strength = now if strength is None else max(now, strength)
        return strength

    def _judge(self, group: _Group) -> float:
        group.heard.clear()
        current = _current(group)
        group.steady += 1
        if group.steady >= STEADY and not current.keys() <= group.known:
            group.judged, group.known = Judged(self._build()), frozenset(current)
        features = {name: feature.scaled() for name, feature in current.items() if name in group.known}
        if not features:
            return 0.0
        strength = group.judged.strength(features, None, rate_per_ms=self._rate_per_ms, gap_ms=group.cadence)
        constant = all(feature.high == feature.low for feature in current.values())
        return 0.0 if constant else strength

    def dump(self, start: int, stop: int) -> bytes:
        return self._groups.dump(start, stop)

    def load(self, start: int, stop: int, data: bytes) -> None:
        self._groups.load(start, stop, data)

    def _fresh(self) -> _Group:
        return _Group(Judged(self._build()))


def _current(group: _Group) -> dict[str, _Feature]:
    """The features that are not stale at the time of the sample being put together."""
    oldest = group.begun - STALE * max(group.cadence, 1.0)
    return {name: feature for name, feature in group.features.items() if feature.time >= oldest}
