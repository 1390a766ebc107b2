"""River's models over groups of series: the series' values at one time are the features of one sample."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from river.base import AnomalyDetector

from detectors.budget import Budget
from detectors.port import UnknownDetectorError
from detectors.river_models import Judged
from detectors.river_rows import RiverRows

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


class RiverGroupBank(RiverRows[_Group]):
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
        super().__init__(
            f"{name}@groups", build, alarms_per_series_day=alarms_per_series_day, key=key, budget=budget
        )
        self._joined: dict[int, tuple[int, str]] = {}

    def join(self, row: int, group: int, feature: str) -> None:
        self._joined[row] = (group, feature)

    def reset(self, row: int) -> None:
        super().reset(row)
        self._joined.pop(row, None)

    def _owner(self, row: int) -> int:
        return self._joined.get(row, (row, ""))[0]

    def _strength(self, group: _Group, row: int, time: int, value: float, /) -> float | None:
        """Take one value; the strength of the group's sample that it completes or ends, else None."""
        strength = None
        _, feature = self._joined.get(row, (row, ""))
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

    def _fresh(self) -> _Group:
        return _Group(Judged(self._build()))


def _current(group: _Group) -> dict[str, _Feature]:
    """The features that are not stale at the time of the sample being put together."""
    oldest = group.begun - STALE * max(group.cadence, 1.0)
    return {name: feature for name, feature in group.features.items() if feature.time >= oldest}
