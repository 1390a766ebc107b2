"""The load within a target's start-up time, as distributions: what a scaling decision needs."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from detectors.forecasting import peak_kernels as kernels
from detectors.forecasting.peak_state import AHEAD, HEADS, PEAK, RECENT, layout
from detectors.forecasting.port import F64, I64
from detectors.forecasting.rows import Rows

VERSION = 2
SKILL_AFTER = 200  # windows learnt before skill is told


class Peaks(NamedTuple):
    """Quantiles `[row, level]` in the load's unit; NaN for a row that has not learnt yet.

    `peak` is the highest of the samples until a replica asked for now serves, that sample included;
    `ahead` is that sample alone: the first one for which asking now can make a difference.
    """

    peak: F64
    ahead: F64


class PeakForecaster(Rows):
    """Quantiles of the load within the start-up time, for many series at once.

    A sample's value is known when its interval ends, and a replica asked for then serves `startup_ms`
    later; so the window is the `startup_ms / cadence + 1` samples that follow. The rise over the
    present value is a robust recursive least squares regression on recent differences, extremes and
    the rises seen at this minute of the hour, minute of the day and time of the week, on the average and
    the last time, so that a job that starts at a minute is expected at that minute; its spread a
    second one on volatilities and on the errors seen at these phases. Quantiles come from a decayed
    histogram of standardised errors, one for calm times and one for those after a surprise (online
    conformal prediction: Vovk, Gammerman and Shafer 2005; locally weighted: Lei et al. 2018; Mondrian:
    Vovk 2012), so that their coverage holds whatever the load's shape.

    About 95 KB a row: a model for targets, not for every metric.

    >>> model = PeakForecaster(startup_ms=120_000)
    >>> model.grow(1)
    >>> minutes = np.arange(600, dtype=np.int64)
    >>> load = 100 + 10 * np.sin(minutes / 30)
    >>> model.update(np.zeros(600, dtype=np.int64), minutes * 60_000, load)
    >>> peaks = model.forecast(np.array([0]), [0.5, 0.99])
    >>> bool(peaks.peak[0, 0] <= peaks.peak[0, 1])
    True
    """

    def __init__(self, startup_ms: int, max_lead: int = 16) -> None:
        if startup_ms < 0:
            raise ValueError(f"startup_ms is {startup_ms}, expected zero or more")
        if not 1 <= max_lead < RECENT:
            raise ValueError(f"max_lead is {max_lead}, expected 1 to {RECENT - 1}")
        super().__init__("peak", VERSION, layout(max_lead))
        self.startup_ms = startup_ms
        self.max_lead = max_lead

    def update(self, rows: I64, times: I64, values: F64) -> None:
        """Learn samples in order: rows, event times (Unix ms), values; one that is not finite is missing.

        Samples at or before a row's last time are ignored, so a replay changes nothing.

        Raises:
            IndexError: a row does not exist.
            ValueError: the lengths differ.
        """
        self._check_batch(rows, times, values)
        kernels.update(self._table, rows, times, values, float(self.startup_ms), self.max_lead)

    def forecast(self, rows: I64, levels: Sequence[float]) -> Peaks:
        """Quantiles at ascending `levels`, as of each row's last sample.

        Raises:
            IndexError: a row does not exist.
        """
        self._check_rows(rows)
        out = np.empty((HEADS, len(rows), len(levels)))
        kernels.quantiles(self._table, rows, np.asarray(levels, dtype=np.float64), self.max_lead, out)
        return Peaks(peak=out[PEAK], ahead=out[AHEAD])

    def learnt(self, row: int) -> int:
        """Number of windows the row has learnt from."""
        return int(self._table["learnt"][row])

    def cadence_ms(self, row: int) -> float:
        """The row's usual time between samples in ms, 0 before its second sample."""
        return float(self._table["cadence_ms"][row])

    def skill(self, row: int) -> float | None:
        """One minus the recent pinball loss (0.9 quantile of the peak) over that of calibrated persistence.

        None before `SKILL_AFTER` windows have been learnt.
        """
        naive = float(self._table["naive_loss"][row])
        if self.learnt(row) < SKILL_AFTER or naive <= 0.0:
            return None
        return 1.0 - float(self._table["model_loss"][row]) / naive
