"""Histograms of usage whose samples fade: several in one array, one row per memory."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RATIO = 1.02  # a bucket's upper edge over its lower one: what a quantile may overstate
LEAST = 1e-3  # usage below it counts as it
MOST_HALF_LIVES = 200.0  # weights grow with time instead of fading; beyond this they are scaled back


class DecayingHistograms:
    """Rows of buckets that grow by 2 % each; row r forgets half within `half_lives_s[r]`.

    A sample's weight grows with its time, which is the same as letting all earlier ones fade, and costs one
    addition (Vertical Pod Autoscaler, `decaying_histogram.go`). The array covers the values seen.
    """

    def __init__(self, half_lives_s: Sequence[float]) -> None:
        self._half_lives = np.asarray(half_lives_s, dtype=np.float64)
        self._origin = np.full(len(half_lives_s), np.nan)  # time at which a row's weight is 1
        self._first = 0  # number of the bucket in column 0
        self._weights: NDArray[np.float64] = np.zeros((len(half_lives_s), 0))

    def add(self, rows: NDArray[np.int64], ts: float, value: float, weight: float) -> None:
        """Count `value` at `ts` (s) in each of the distinct `rows`; times may go back a little."""
        bucket = math.ceil(math.log(max(value, LEAST)) / math.log(RATIO) - 1e-9)
        column = self._column(bucket)
        fresh = rows[np.isnan(self._origin[rows])]
        self._origin[fresh] = ts
        age = (ts - self._origin[rows]) / self._half_lives[rows]
        for row in rows[age > MOST_HALF_LIVES]:
            # Times a power of two, so nothing is lost but what has long faded.
            shift = (ts - self._origin[row]) / self._half_lives[row]
            self._weights[row] *= 2.0 ** -min(shift, 1_000.0)
            self._origin[row] = ts
        age = (ts - self._origin[rows]) / self._half_lives[rows]
        self._weights[rows, column] += weight * np.exp2(age)

    def quantiles(self, rows: Sequence[int], levels: Sequence[float]) -> NDArray[np.float64]:
        """The upper edge of the bucket that holds the quantile, per row; NaN where the row is empty."""
        sums = np.cumsum(self._weights[list(rows)], axis=1)
        return np.array([self._edge(each, level) for each, level in zip(sums, levels, strict=True)])

    def blended(self, rows: Sequence[int], shares: Sequence[float], level: float) -> float:
        """The quantile of several rows of one half-life taken together, each with a share; NaN if empty."""
        if self._weights.shape[1] == 0:
            return math.nan
        chosen = [row for row in rows if not math.isnan(self._origin[row])]
        if not chosen:
            return math.nan
        newest = max(self._origin[row] for row in chosen)
        total = np.zeros(self._weights.shape[1])
        for row, share in zip(rows, shares, strict=True):
            if row in chosen:
                fade = 2.0 ** ((self._origin[row] - newest) / self._half_lives[row])
                total += share * fade * self._weights[row]
        return self._edge(np.cumsum(total), level)

    def _edge(self, sums: NDArray[np.float64], level: float) -> float:
        if len(sums) == 0 or sums[-1] <= 0.0:
            return math.nan
        column = int(np.searchsorted(sums, min(level, 1.0) * sums[-1] * (1.0 - 1e-12)))
        return float(RATIO ** (self._first + min(column, len(sums) - 1)))

    def _column(self, bucket: int) -> int:
        width = self._weights.shape[1]
        if width == 0:
            self._first = bucket
        before = max(self._first - bucket, 0)
        after = max(bucket - (self._first + width) + 1, 0)
        if before or after:
            self._weights = np.pad(self._weights, ((0, 0), (before, after)))
            self._first -= before
        return bucket - self._first
