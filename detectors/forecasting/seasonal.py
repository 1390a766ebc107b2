"""Forecasts of a load from one sample to a day ahead and beyond, with calibrated quantiles."""

from collections.abc import Sequence

import numpy as np

from detectors.forecasting import seasonal_kernels as kernels
from detectors.forecasting.port import F64, I64
from detectors.forecasting.rows import Rows
from detectors.forecasting.seasonal_models import horizon_ms
from detectors.forecasting.seasonal_state import HORIZONS, layout

VERSION = 2
MODELS = ("persistence", "seasonal-naive", "weekly-naive", "regression", "cycle")
ENSEMBLE = "ensemble"


class SeasonalForecaster(Rows):
    """An online ensemble per series: persistence, yesterday, last week, a regression, its own cycle, others.

    For horizons of the cadence times powers of two, up to a day, a robust recursive least squares
    regression weighs level, trend, the pattern of the hour, of the last days, of yesterday, of the week and
    of the load's own period, where one is found (see `seasonal_period`), by what they contribute, so a
    seasonality counts as far as it has reduced errors. Models are
    averaged by a power of their recent pinball loss at that horizon; quantiles come from decayed
    histograms of standardised errors of the average itself (online conformal prediction: Vovk,
    Gammerman and Shafer 2005), so their coverage holds. A horizon between two learnt ones mixes their
    models; beyond a day, the day's are used.

    `outside` names models whose points the caller gives with each sample (see `horizons_ms`).
    State is constant, about 125 KB a row: for the loads of targets, not for every metric.

    >>> model = SeasonalForecaster()
    >>> model.grow(1)
    >>> minutes = np.arange(0, 4320, 5, dtype=np.int64)
    >>> load = 100 + 50 * np.sin(minutes / 1440 * 2 * np.pi)
    >>> model.update(np.zeros(len(minutes), dtype=np.int64), minutes * 60_000, load)
    >>> median = model.forecast(np.array([0]), [6 * 3_600_000], [0.5])[0, 0, 0]
    >>> bool(abs(median - (100 + 50 * np.sin((minutes[-1] + 360) / 1440 * 2 * np.pi))) < 10)
    True
    """

    def __init__(self, outside: Sequence[str] = ()) -> None:
        self.models = (*MODELS, *outside, ENSEMBLE)
        if len(set(self.models)) != len(self.models):
            raise ValueError(f"models {self.models} are not all different: rename those from outside")
        super().__init__("seasonal", VERSION, layout(len(self.models)))
        self._outside = len(outside)

    def update(self, rows: I64, times: I64, values: F64, outside: F64 | None = None) -> None:
        """Learn samples in order: rows, event times (Unix ms), values; one that is not finite is missing.

        `outside[i, m, k]` is the value that model m from outside, having learnt sample i, expects
        `horizons_ms(row)[k]` after it; NaN: none. Samples at or before a row's last time are ignored.

        Raises:
            IndexError: a row does not exist.
            ValueError: the lengths differ.
        """
        self._check_batch(rows, times, values)
        if outside is None:
            outside = np.full((len(rows), self._outside, HORIZONS), np.nan)
        if outside.shape != (len(rows), self._outside, HORIZONS):
            expected = (len(rows), self._outside, HORIZONS)
            raise ValueError(f"points from outside have shape {outside.shape}, expected {expected}")
        kernels.update(self._table, rows, times, values, outside)

    def forecast(
        self,
        rows: I64,
        horizons_ms: Sequence[int],
        levels: Sequence[float],
        *,
        model: str = ENSEMBLE,
        outside: F64 | None = None,
    ) -> F64:
        """Quantiles `[row, horizon, level]` (levels ascend) that long after each row's last sample.

        `model` names one member instead of the ensemble; NaN where it has nothing to say.
        `outside[i, m, j]` are the points of models from outside at `horizons_ms[j]`.

        Raises:
            IndexError: a row does not exist.
            ValueError: no such model.
        """
        self._check_rows(rows)
        if model not in self.models:
            raise ValueError(f"unknown model {model!r}: known are {', '.join(self.models)}")
        out = np.empty((len(rows), len(horizons_ms), len(levels)))
        if outside is None:
            outside = np.full((len(rows), self._outside, len(horizons_ms)), np.nan)
        horizons = np.asarray(horizons_ms, dtype=np.float64)
        asked = np.asarray(levels, dtype=np.float64)
        kernels.forecast(self._table, rows, horizons, asked, self.models.index(model), outside, out)
        return out

    def horizons_ms(self, row: int) -> tuple[float, ...]:
        """The horizons learnt at the row's cadence, `HORIZONS` of them; 0 for those past a day."""
        cadence = float(self._table["cadence_ms"][row])
        return tuple(horizon_ms(cadence, k) if cadence > 0.0 else 0.0 for k in range(HORIZONS))

    def period_ms(self, row: int) -> float | None:
        """The load's own period in ms, None where none has been found."""
        samples = float(self._table["period"][row])
        return samples * self.cadence_ms(row) if samples > 0.0 else None

    def losses(self, row: int) -> F64:
        """Recent mean pinball loss `[horizon, model]` at 0.5, 0.9 and 0.99, over the scale; NaN: none yet."""
        tried = self._table["tried"][row]
        return np.where(tried > 0, self._table["loss"][row], np.nan)

    def cadence_ms(self, row: int) -> float:
        """The row's usual time between samples in ms, 0 before its second sample."""
        return float(self._table["cadence_ms"][row])
