"""A load's own period, found online: of a batch job each 97 minutes, say, which no clock tells.

By the cumulative mean normalised difference (de Cheveigne and Kawahara, YIN, 2002): how much values a lag
apart differ, over how much they do at shorter lags on average. A period is the first dip that is deep enough.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from detectors.forecasting.port import F64
from detectors.forecasting.seasonal_state import RING

SEARCH_EVERY = 256  # samples from one search to the next
LEAST_SAMPLES = 512
LEAST_LAG = 6  # samples a cycle; less is noise at this cadence
CYCLES = 3  # of a period that must have been seen, and over which it is averaged
DEEP = 0.35  # a dip below this share is a period
LOST = 0.5  # and one found before is kept until its dip is shallower than this
LONGEST_GAP = 10  # samples that may go missing; after more the cycle is looked for anew


@njit(cache=True, nogil=True)
def follow_period(row: Any, value: float, missed: int) -> None:
    """Keep a sample, `missed` after the one before went missing, and look for a period now and then."""
    if missed > LONGEST_GAP:
        row.ring_count = 0
        row.period = 0.0
    elif row.ring_count > 0:
        before = row.ring[(row.ring_count - 1) % RING]
        for _ in range(missed):  # so that phases stay in step
            row.ring[row.ring_count % RING] = before
            row.ring_count += 1
    row.ring[row.ring_count % RING] = value
    row.ring_count += 1
    if row.ring_count >= LEAST_SAMPLES and row.count % SEARCH_EVERY == 0:
        row.period = _search(row)


@njit(cache=True, nogil=True)
def _search(row: Any) -> float:
    """The period in samples, with a fraction; 0 where there is none."""
    count = min(row.ring_count, RING)
    values = np.empty(count)
    first = row.ring_count - count
    for i in range(count):
        values[i] = row.ring[(first + i) % RING]
    longest = count // CYCLES
    dips = np.empty(longest + 1)
    total = 0.0
    dips[0] = 1.0
    for lag in range(1, longest + 1):
        differ = 0.0
        for i in range(lag, count):
            gap = values[i] - values[i - lag]
            differ += gap * gap
        differ /= count - lag
        total += differ
        dips[lag] = differ * lag / total if total > 0.0 else 1.0
    needed = DEEP
    if row.period > 0.0:
        near = round(row.period)
        if near <= longest and dips[near] < LOST:
            needed = LOST
    lag = LEAST_LAG
    while lag < longest:
        if dips[lag] < needed and dips[lag] <= dips[lag - 1] and dips[lag] < dips[lag + 1]:
            return _refined(dips, lag)
        lag += 1
    return 0.0


@njit(cache=True, nogil=True)
def _refined(dips: F64, lag: int) -> float:
    """The period of a dip, from the dips at its multiples: half a sample off is hours off in a day."""
    period = _lowest(dips, lag)
    times = 2
    while times * period + 2.0 < len(dips) - 1:
        around = round(times * period)
        reach = max(1, min(times, int(0.1 * period)))
        best = around
        for near in range(around - reach, min(around + reach + 1, len(dips) - 1)):
            if dips[near] < dips[best]:
                best = near
        period = _lowest(dips, best) / times
        times *= 2
    return period


@njit(cache=True, nogil=True)
def _lowest(dips: F64, lag: int) -> float:
    """The lowest point of the parabola through a dip and its neighbours."""
    left, here, right = dips[lag - 1], dips[lag], dips[lag + 1]
    bend = left - 2.0 * here + right
    return lag + (0.5 * (left - right) / bend if bend > 0.0 else 0.0)


@njit(cache=True, nogil=True)
def cycle_mean(row: Any, steps: float) -> float:
    """The mean of the last cycles at the phase of `steps` samples ahead; there has to be a period."""
    newest = row.ring_count - 1
    oldest = max(row.ring_count - RING, 0)
    back = math.ceil(steps / row.period) * row.period - steps
    total = 0.0
    cycles = 0
    for _ in range(CYCLES):
        place = newest - back
        low = math.floor(place)
        if low < oldest:
            break
        high = min(low + 1, newest)
        part = place - low
        total += (1.0 - part) * row.ring[low % RING] + part * row.ring[high % RING]
        cycles += 1
        back += row.period
    return total / max(cycles, 1)
