"""What a gauge's past says about how far it strays from its level on its own: placebo releases in time.

Every moment of the past is taken for a release that changed nothing (a placebo test; Abadie, Diamond and
Hainmueller 2010 do the same over units instead of moments). How far windows after it strayed from the
level before it is the yardstick for the real release. Noise, autocorrelation, drift and whatever the past
holds of seasons are in it.
"""

import msgspec
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEAST_HISTORY = 12
MOST_HISTORY = 1440
_REFERENCE = 60


class Past(msgspec.Struct, frozen=True):
    """A gauge before a release, higher being worse; all in the gauge's unit.

    `level` is the median of the last ticks, `high` the 95th percentile of all, `drift` the rise per
    tick lately. `spreads[w][l]` is how far medians of `windows[w]` ticks strayed `leads[l]` ticks ahead.
    """

    ticks: int
    level: float
    high: float
    drift: float
    windows: tuple[int, ...] = ()
    leads: tuple[int, ...] = ()
    spreads: tuple[tuple[float, ...], ...] = ()
    highest: tuple[float, ...] = ()

    @property
    def long_enough(self) -> bool:
        """Whether it is long enough to know its own spread."""
        return self.ticks >= LEAST_HISTORY

    def spread(self, window: int, lead: int) -> float:
        """How far the median of `window` ticks that end `lead` ticks after a moment strays from its level.

        Beyond what the past shows it grows with the lead: slopes that the past did not show may come.
        """
        row = self.spreads[self.windows.index(window)]
        at = max(index for index, known in enumerate(self.leads) if known <= lead or index == 0)
        return row[at] * (max(lead / self.leads[-1], 1.0) if at + 1 == len(self.leads) else 1.0)


def learn_past(values: list[float], windows: tuple[int, ...], harm: str) -> Past:
    """The past of a gauge whose last ticks were `values`, oldest first, for medians of these `windows`."""
    before = (1.0 if harm == "up" else -1.0) * np.asarray(values[-MOST_HISTORY:], dtype=np.float64)
    if len(before) < LEAST_HISTORY:
        level = float(np.median(before)) if len(before) else 0.0
        return Past(len(before), level, level, 0.0)
    reference = min(_REFERENCE, len(before) // 3)
    reach = len(before) // 3
    leads = tuple(sorted({min(2**power, reach) for power in range(12)}))
    levels = _rolling_mean(before, reference)
    # A past that never moved still has the resolution of its numbers.
    least = max(1e-3 * float(np.abs(before).max()), 1e-12)
    spreads, highest = [], []
    for window in windows:
        # A window longer than a quarter of the past is taken to stray as far as the longest that fits.
        known = min(window, len(before) // 4)
        means = _rolling_mean(before, known)
        row = []
        for lead in leads:
            ahead = max(lead, known)
            errors = means[reference - known + ahead :] - levels[: len(levels) - ahead]
            row.append(max(_scale(errors), least))
        highest.append(float(means.max()))
        spreads.append(tuple(np.maximum.accumulate(row).tolist()))
    return Past(
        ticks=len(before),
        level=float(levels[-1]),
        high=float(np.quantile(before, 0.95)),
        drift=_drift(before[-reference:]),
        windows=windows,
        leads=leads,
        spreads=tuple(spreads),
        highest=tuple(highest),
    )


def _scale(errors: Floats) -> float:
    """The larger of the root mean square and the robust scale, so that neither tails nor bulk are missed."""
    return max(1.4826 * float(np.median(np.abs(errors))), float(np.sqrt(np.mean(errors**2))))


def _drift(recent: Floats) -> float:
    """The rise per tick, from the medians of two halves; a fall counts as none."""
    half = len(recent) // 2
    return max(float(np.median(recent[half:]) - np.median(recent[:half])) / half, 0.0)


def trimmed_mean(values: Floats) -> Floats:
    """Mean over the last axis without the lowest and the highest quarter: spikes do not move it."""
    cut = -(-values.shape[-1] // 4) if values.shape[-1] > 2 else 0
    return np.asarray(np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1))


def _rolling_mean(values: Floats, window: int) -> Floats:
    return trimmed_mean(np.lib.stride_tricks.sliding_window_view(values, window))
