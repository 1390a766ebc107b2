"""The naive baseline: how many standard deviations a value is from its moving average."""

import math

import numpy as np
from numba import njit

from detectors.columnar import Batch, ColumnarBank, Columns, Table
from detectors.port import F64

LAYOUT = np.dtype([("count", "f8"), ("mean", "f8"), ("variance", "f8")])
SAMPLES_PER_DAY = 288.0
WARM_SAMPLES = 30.0


def ewma_z_bank(*, alarms_per_series_day: float, memory: float = 288.0) -> ColumnarBank:
    """A bank of exponentially weighted z-scores (Roberts 1959, the EWMA of value and of its square).

    `memory` is the averages' length in samples. The alarm's threshold is the Gaussian quantile of the
    asked rate at 288 samples a day, which is what makes it naive: real tails are heavier.

    >>> bank = ewma_z_bank(alarms_per_series_day=0.1)
    >>> bank.grow(1)
    >>> values = np.r_[np.arange(99.0) % 5, 40.0]
    >>> bank.update(np.zeros(100, np.int64), np.arange(100) * 60_000, values).alarm.nonzero()[0].tolist()
    [99]
    """
    settings = np.array([1.0 / memory, _two_sided_quantile(alarms_per_series_day / SAMPLES_PER_DAY)])
    return ColumnarBank("ewma-z", 1, evidence=("z",), layout=LAYOUT, kernel=_kernel, settings=settings)


def _two_sided_quantile(share: float) -> float:
    """The z beyond which a standard normal lies with probability `share` (bisection)."""
    low, high = 0.0, 40.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erfc(middle / math.sqrt(2)) > share else (low, middle)
    return low


@njit(cache=True, nogil=True)
def _kernel(table: Table, batch: Batch, settings: F64, out: Columns) -> None:
    rate, threshold = settings[0], settings[1]
    for i in range(len(batch.rows)):
        state = table[batch.rows[i]]
        value = batch.values[i]
        if math.isnan(value):
            continue
        delta = value - state.mean
        if state.count >= WARM_SAMPLES:
            deviation = math.sqrt(state.variance)
            out.learning[i] = False
            out.expected[i] = state.mean
            out.lower[i] = state.mean - threshold * deviation
            out.upper[i] = state.mean + threshold * deviation
            if deviation > 0.0:
                strength = abs(delta) / (threshold * deviation)
            else:
                strength = 0.0 if delta == 0.0 else 2.0
            out.evidence[i, 0] = strength
            out.score[i] = strength / (1.0 + strength)
            out.alarm[i] = strength >= 1.0
        else:
            out.score[i] = 0.0
        state.count += 1.0
        gain = max(rate, 1.0 / state.count)
        state.mean += gain * delta
        state.variance = (1.0 - gain) * (state.variance + gain * delta * delta)
