"""The highest load within a target's start-up time, as a distribution: what a scaling decision needs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.forecasting import peak_kernels as kernels

Floats = NDArray[np.float64]


class PeakForecaster:
    """Quantiles of the largest of the next samples, for many series at once.

    A replica asked for now serves `startup_ms` later, and a sample's value is known when its interval
    ends; so the window is the samples that begin within `startup_ms` of the next one. The peak's rise
    over the present value is a robust recursive least squares regression on recent differences,
    extremes and the rises seen at this minute of the hour, of the day and at this time of the week;
    its spread a second one on volatilities and on errors seen at these phases. Quantiles come from
    the decayed histogram of standardised errors (online conformal prediction: Vovk, Gammerman and
    Shafer 2005; locally weighted: Lei et al. 2018), so their coverage holds whatever the load's shape.

    State is constant: about 45 KB a row for windows of up to 32 samples. A model per target, not per metric.

    >>> model = PeakForecaster(startup_ms=120_000)
    >>> minutes = np.arange(600, dtype=np.int64)
    >>> load = 100 + 10 * np.sin(minutes / 30)
    >>> model.update(np.zeros(600, dtype=np.int64), minutes * 60_000, load)
    >>> peaks = model.forecast(np.array([0]), [0.5, 0.99])
    >>> bool(peaks[0, 0] <= peaks[0, 1])
    True
    """

    def __init__(self, startup_ms: int, rows: int = 1, max_lead: int = 32) -> None:
        if startup_ms < 0 or not 1 <= max_lead < kernels.RECENT:
            raise ValueError(
                f"startup_ms {startup_ms} must not be negative, max_lead {max_lead} be in 1..{kernels.RECENT - 1}"
            )
        self.startup_ms = startup_ms
        self.max_lead = max_lead
        self._core = np.empty((0, kernels.core_size(max_lead)))
        self._profile = np.empty((0, kernels.PROFILE_SIZE), dtype=np.float32)
        self.grow(rows)

    @property
    def rows(self) -> int:
        """Number of series there is room for."""
        return len(self._core)

    def grow(self, rows: int) -> None:
        """Make room for `rows` series; those that exist keep their state."""
        fresh = rows - self.rows
        if fresh <= 0:
            return
        core = np.empty((fresh, self._core.shape[1]))
        profile = np.empty((fresh, kernels.PROFILE_SIZE), dtype=np.float32)
        for row in range(fresh):
            kernels.reset(core[row], profile[row])
        self._core = np.concatenate([self._core, core])
        self._profile = np.concatenate([self._profile, profile])

    def update(self, rows: NDArray[np.int64], times_ms: NDArray[np.int64], values: Floats) -> None:
        """Learn samples in order (three arrays of one length); not a number counts as missing.

        Samples at or before a row's last time are ignored, so a replay changes nothing.
        """
        kernels.update(
            self._core, self._profile, rows, times_ms, values, float(self.startup_ms), self.max_lead
        )

    def forecast(self, rows: NDArray[np.int64], levels: Sequence[float]) -> Floats:
        """Quantiles `[row, level]` of the peak, in the load's unit; NaN for a row that has not learnt yet."""
        wanted = np.asarray(levels, dtype=np.float64)
        out = np.empty((len(rows), len(wanted)))
        kernels.quantiles(self._core, rows, wanted, self.max_lead, out)
        return out

    def learnt(self, row: int) -> int:
        """Number of windows the row has learnt from."""
        return int(self._core[row, kernels.LEARNT])

    def cadence_ms(self, row: int) -> float:
        """The row's usual time between samples in ms, 0 before its second sample."""
        return float(self._core[row, kernels.CADENCE_MS])

    def skill(self, row: int) -> float | None:
        """One minus the recent pinball loss (0.9 quantile) over that of a calibrated persistence forecast.

        None before 200 windows have been learnt.
        """
        naive = float(self._core[row, kernels.NAIVE_LOSS])
        if self.learnt(row) < 200 or naive <= 0.0:
            return None
        return 1.0 - float(self._core[row, kernels.MODEL_LOSS]) / naive

    def dump(self, start: int, stop: int) -> bytes:
        """State of rows `start` to `stop` (exclusive)."""
        return self._core[start:stop].tobytes() + self._profile[start:stop].tobytes()

    def load(self, start: int, data: bytes) -> int:
        """Put back what `dump` gave, from row `start` on; the number of rows.

        Raises:
            ValueError: the bytes are not a whole number of rows of this model.
        """
        core_bytes = self._core.shape[1] * 8
        row_bytes = core_bytes + kernels.PROFILE_SIZE * 4
        count, rest = divmod(len(data), row_bytes)
        if rest:
            raise ValueError(
                f"state of {len(data)} bytes: expected a multiple of {row_bytes} (peak forecaster)"
            )
        self.grow(start + count)
        split = count * core_bytes
        self._core[start : start + count] = np.frombuffer(data[:split]).reshape(count, -1)
        self._profile[start : start + count] = np.frombuffer(data[split:], dtype=np.float32).reshape(
            count, -1
        )
        return count
