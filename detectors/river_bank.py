"""River's models as a bank: one model per row, named in the configuration."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from river.base import DriftDetector

from detectors.budget import Budget
from detectors.river_models import Judged
from detectors.river_rows import RiverRows

HOUR_MS = 3_600_000


@dataclass(slots=True)
class _Row:
    """One series: its model and the scaling of its features."""

    judged: Judged
    begun: bool = False
    last_time: int = 0
    last: float = 0.0
    cadence: float = 0.0
    low: list[float] = field(default_factory=lambda: [math.inf, math.inf])
    high: list[float] = field(default_factory=lambda: [-math.inf, -math.inf])


class RiverBank(RiverRows[_Row]):
    """A `Bank` of one River anomaly or drift detector per row.

    An anomaly detector sees the features `value` and `change` (scaled to [0, 1] by the range seen so
    far), `hour` and `weekday` (as a share of the day and the week), and alarms as `Judged` says.
    A drift detector sees the value and alarms on a drift. A model that raises loses that sample only:
    its score is NaN and `Scores.errors` says why. A series whose model takes longer than `budget` is scored
    less often: the samples in between are not learnt, their score is NaN, and `Scores.unscored` counts them.
    """

    version = 2

    def __init__(
        self,
        name: str,
        build: Callable[[], Any],
        *,
        alarms_per_series_day: float,
        key: bytes | None,
        budget: Budget | None = None,
    ) -> None:
        super().__init__(name, build, alarms_per_series_day=alarms_per_series_day, key=key, budget=budget)
        self._drift = isinstance(build(), DriftDetector)
        self.evidence = ("drift",) if self._drift else ("score",)

    def _strength(self, state: _Row, row: int, time: int, value: float, /) -> float:
        return self._drift_one(state, value) if self._drift else self._score_one(state, time, value)

    def _score_one(self, state: _Row, time: int, value: float) -> float:
        features = _features(state, time, value)
        strength = state.judged.strength(features, value, rate_per_ms=self._rate_per_ms, gap_ms=state.cadence)
        constant = state.high[0] == state.low[0]  # whatever the hour does to the model
        return 0.0 if constant else strength

    def _drift_one(self, state: _Row, value: float) -> float:
        state.judged.count += 1
        state.judged.model.update(value)
        return 1.0 if state.judged.model.drift_detected else 0.0

    def _fresh(self) -> _Row:
        return _Row(Judged(self._build()))


def _features(state: _Row, time: int, value: float) -> dict[str, float]:
    """Scaled features of one sample; moves the row's range, last value and cadence."""
    change = value - state.last if state.begun else 0.0
    if state.begun and time > state.last_time:
        gap = float(time - state.last_time)
        state.cadence = gap if state.cadence == 0.0 else 0.9 * state.cadence + 0.1 * gap
    state.last, state.last_time, state.begun = value, time, True
    scaled = []
    for i, raw in enumerate((value, change)):
        state.low[i], state.high[i] = min(state.low[i], raw), max(state.high[i], raw)
        span = state.high[i] - state.low[i]
        scaled.append((raw - state.low[i]) / span if span > 0.0 else 0.5)
    hours = time / HOUR_MS
    return {"value": scaled[0], "change": scaled[1], "hour": hours % 24 / 24, "weekday": hours % 168 / 168}
