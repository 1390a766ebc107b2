"""The one-series face: the native forecaster as a River estimator."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from river.time_series.base import Forecaster

from detectors.forecasting.port import F64
from detectors.forecasting.seasonal import ENSEMBLE, MODELS, SeasonalForecaster

_ROW = np.zeros(1, dtype=np.int64)


class Seasonal(Forecaster):
    """The native seasonal forecaster on one series, samples `cadence_s` apart.

    Equal to row 0 of the many-series face at the same times.

    Parameters
    ----------
    cadence_s
        Seconds from one sample to the next; the patterns of hour, day and week are found in them.
    model
        "ensemble", or one of its members: "persistence", "seasonal-naive", "regression".
    level
        The quantile that `forecast` gives; 0.5 is the median.

    Examples
    --------
    >>> import math
    >>> model = Seasonal(cadence_s=900)
    >>> for quarter in range(4 * 24 * 4):
    ...     model.learn_one(100 + 50 * math.sin(quarter / 96 * 2 * math.pi))
    >>> bool(abs(model.forecast(horizon=24)[-1] - 150) < 10)  # six hours ahead
    True
    """

    def __init__(self, cadence_s: float = 60.0, model: str = ENSEMBLE, level: float = 0.5) -> None:
        if not cadence_s > 0.0:
            raise ValueError(f"cadence_s is {cadence_s}, expected a positive number of seconds")
        if model not in (*MODELS, ENSEMBLE):
            raise ValueError(f"unknown model {model!r}: known are {', '.join((*MODELS, ENSEMBLE))}")
        if not 0.0 < level < 1.0:
            raise ValueError(f"level is {level}, expected a number between 0 and 1")
        self.cadence_s = cadence_s
        self.model = model
        self.level = level
        self._bank = SeasonalForecaster()
        self._bank.grow(1)
        self._seen = 0

    def learn_one(self, y: float, x: dict[str, Any] | None = None) -> None:
        """Learn the next value; `x` is not used. A value that is not finite is a missing one."""
        time = np.array([round(self._seen * self.cadence_s * 1000.0)], dtype=np.int64)
        self._bank.update(_ROW, time, np.array([y], dtype=np.float64))
        self._seen += 1

    def forecast(self, horizon: int, xs: list[dict[str, Any]] | None = None) -> list[float]:
        """The `level` quantiles of the next `horizon` values; zeros before the first one."""
        values = self.quantiles(horizon, [self.level])[:, 0]
        return [float(value) for value in np.nan_to_num(values, nan=0.0)]

    def quantiles(self, horizon: int, levels: Sequence[float]) -> F64:
        """Quantiles `[step, level]` of the next `horizon` values; NaN before the first one."""
        steps = [round((step + 1) * self.cadence_s * 1000.0) for step in range(horizon)]
        values: F64 = self._bank.forecast(_ROW, steps, levels, model=self.model)[0]
        return values
