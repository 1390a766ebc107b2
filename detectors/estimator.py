"""The one-series face: any native detector as a River estimator."""

from typing import Any

import numpy as np
from river.base import AnomalyDetector
from river.base.typing import FeatureName

from detectors.port import F64, I64, Bank
from detectors.registry import ALARMS_PER_SERIES_DAY, DEFAULT_MODEL, make_bank

DEFAULT_STEP_MS = 60_000


class SeriesDetector(AnomalyDetector):
    """A native detector on one series, or on one per feature: the score is that of the worst feature.

    Equal to the many-series face sample by sample. Samples are tested first and learnt after: call
    `score_one`, then `learn_one`.

    Parameters
    ----------
    model
        Name of a native detector, see `detectors.registry.known_models`.
    alarms_per_series_day
        The rate of alarms on normal data that each feature's detector is calibrated to.
    time_feature
        Name of the feature that holds the event time (Unix ms) and is not scored itself. Without it
        samples count as a minute apart.

    Examples
    --------
    >>> detector = SeriesDetector(time_feature="ts")
    >>> for minute in range(200):
    ...     detector.learn_one({"ts": minute * 60_000, "value": float(minute % 7)})
    >>> detector.score_one({"ts": 12_000_000, "value": 4.0}) < 0.5
    True
    >>> detector.score_one({"ts": 12_000_000, "value": 40.0}) > 0.5
    True
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        alarms_per_series_day: float = ALARMS_PER_SERIES_DAY,
        time_feature: str | None = None,
    ) -> None:
        self.model = model
        self.alarms_per_series_day = alarms_per_series_day
        self.time_feature = time_feature
        self._bank = self._fresh()
        self._scratch = self._fresh()
        self._rows: dict[FeatureName, int] = {}
        self._learnt = 0

    def score_one(self, x: dict[FeatureName, Any]) -> float:
        """The surprise in [0, 1] of the worst feature, 0 where nothing can be scored."""
        self._scratch.grow(len(self._rows) + len(x))
        for row in range(len(self._rows), len(self._rows) + len(x)):
            self._scratch.reset(row)
        self._scratch.load(0, len(self._rows), self._bank.dump(0, len(self._rows)))
        rows = dict(self._rows)
        for name in x:
            rows.setdefault(name, len(rows))
        scores = self._scratch.update(*self._columns(x, rows)).score
        return float(np.nanmax(scores, initial=0.0))

    def learn_one(self, x: dict[FeatureName, Any]) -> None:
        """Learn one sample of each feature; a missing one (absent, None or NaN) changes nothing."""
        for name in x:
            self._rows.setdefault(name, len(self._rows))
        self._bank.grow(len(self._rows))
        self._bank.update(*self._columns(x, self._rows))
        self._learnt += 1

    def _columns(self, x: dict[FeatureName, Any], rows: dict[FeatureName, int]) -> tuple[I64, I64, F64]:
        time = self._learnt * DEFAULT_STEP_MS
        if self.time_feature is not None and self.time_feature in x:
            time = int(x[self.time_feature])
        names = [name for name in x if name != self.time_feature]
        values = [np.nan if x[name] is None else float(x[name]) for name in names]
        return (
            np.array([rows[name] for name in names], dtype=np.int64),
            np.full(len(names), time, dtype=np.int64),
            np.array(values, dtype=np.float64),
        )

    def _fresh(self) -> Bank:
        return make_bank(self.model, alarms_per_series_day=self.alarms_per_series_day)
