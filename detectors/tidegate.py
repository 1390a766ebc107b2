"""The default detector (being built): records of value, residual, difference and variability."""

import math

import numpy as np
from numba import njit

from detectors.columnar import Batch, ColumnarBank, Columns, Table
from detectors.port import F64

EVIDENCE = ("level", "residual", "jump", "variability")
LAYOUT = np.dtype(
    [
        ("count", "i8"),
        ("last", "f8"),
        ("spread", "f8"),
        ("recent", "f8", (15,)),
        ("high", "f8", (4,)),
        ("low", "f8", (4,)),
        ("mean", "f8", (4,)),
        ("scale", "f8", (4,)),
    ]
)


def tidegate_bank(*, alarms_per_series_day: float) -> ColumnarBank:
    """A bank of Tidegate's default detector."""
    settings = np.array([alarms_per_series_day])
    return ColumnarBank("tidegate", 1, evidence=EVIDENCE, layout=LAYOUT, kernel=_kernel, settings=settings)


@njit(cache=True, nogil=True)
def _kernel(table: Table, batch: Batch, settings: F64, out: Columns) -> None:
    x = np.zeros(4)
    ordered = np.zeros(15)
    for i in range(len(batch.rows)):
        s = table[batch.rows[i]]
        value = batch.values[i]
        if math.isnan(value):
            continue
        n = s.count
        k = min(n, 15)
        for j in range(k):
            v = s.recent[j]
            p = j
            while p > 0 and ordered[p - 1] > v:
                ordered[p] = ordered[p - 1]
                p -= 1
            ordered[p] = v
        middle = ordered[k // 2] if k > 0 else value
        jump = value - s.last if n > 0 else 0.0
        s.spread += (abs(jump) - s.spread) / 12.0
        x[0], x[1], x[2], x[3] = value, value - middle, jump, s.spread
        out.score[i] = 0.0
        if n >= 30:
            out.learning[i] = False
            out.expected[i] = middle
            out.lower[i] = middle + s.low[1]
            out.upper[i] = middle + s.high[1]
        best = 0.0
        gain = max(0.002, 1.0 / (n + 1))
        for c in range(4):
            if n >= 30:
                beyond = max(x[c] - s.high[c], s.low[c] - x[c])
                if beyond > 0.0:
                    strength = beyond / s.scale[c] if s.scale[c] > 0.0 else 99.0
                    out.evidence[i, c] = strength
                    best = max(best, strength)
            if n > 0:
                s.high[c] = max(s.high[c], x[c]) if n > 1 else x[c]
                s.low[c] = min(s.low[c], x[c]) if n > 1 else x[c]
                s.scale[c] += gain * (abs(x[c] - s.mean[c]) - s.scale[c])
                s.mean[c] += gain * (x[c] - s.mean[c])
        out.score[i] = best / (1.0 + best)
        out.alarm[i] = best >= 1.0
        s.recent[n % 15] = value
        s.last = value
        s.count += 1
