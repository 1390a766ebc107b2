"""What the seasonal forecaster expects: its models' centres, their spread, their quantiles."""

import math
from typing import Any

import numpy as np
from numba import njit

from detectors.forecasting.port import F64
from detectors.forecasting.regression import bounded
from detectors.forecasting.seasonal_period import cycle_mean
from detectors.forecasting.seasonal_state import (
    CELLS,
    CYCLE,
    DAY_CELLS,
    DAY_MS,
    EDGES,
    ERROR_CELLS,
    FARTHEST_LEVEL,
    FEATURES,
    HORIZONS,
    HOUR_CELLS,
    HOUR_MS,
    LEAST_MEMORY,
    LEVELS,
    MOST_MEMORY,
    MOST_RISE,
    NAIVE,
    PACE,
    PERSISTENCE,
    PRIOR,
    PRIOR_ERRORS,
    REGRESSION,
    SHARPNESS,
    SPREADS,
    WEEK_CELLS,
    WEEK_MS,
    WEEKLY,
)


@njit(cache=True, nogil=True)
def cell_of(time_ms: float, period_ms: float, cells: int) -> int:
    """The cell of a circular table that a time falls into."""
    return min(int((time_ms % period_ms) / period_ms * cells), cells - 1)


@njit(cache=True, nogil=True)
def horizon_ms(cadence_ms: float, k: int) -> float:
    """The k-th learnt horizon: the cadence times a power of two, a day at most; 0 past the last."""
    base = max(cadence_ms, DAY_MS / 2 ** (HORIZONS - 1))
    before = base * 2.0 ** (k - 1)
    return 0.0 if k > 0 and before >= DAY_MS else min(2.0 * before, DAY_MS) if k > 0 else base


@njit(cache=True, nogil=True)
def pace(row_cadence_ms: float, ahead_ms: float) -> int:
    """Samples from one try of a horizon to the next; odd, so that tries visit all times of the day."""
    exact = math.ceil(ahead_ms / row_cadence_ms / PACE)
    return exact | 1 if exact > 1 else 1


@njit(cache=True, nogil=True)
def forgetting(row: Any, k: int, days: float) -> float:
    """The forgetting factor of a memory of that many days, for a horizon's tries."""
    ahead = horizon_ms(row.cadence_ms, k)
    tries = days * DAY_MS / (pace(row.cadence_ms, ahead) * row.cadence_ms)
    return 1.0 - 1.0 / float(min(max(tries, LEAST_MEMORY), MOST_MEMORY))


@njit(cache=True, nogil=True)
def standard_quantiles(histogram: Any, levels: F64, out: F64) -> None:
    """Quantiles of the standardised errors at ascending `levels`, linear within a cell."""
    total = PRIOR_ERRORS
    for k in range(CELLS):
        total += histogram[k]
    below = 0.0
    cell = 0
    mass = histogram[0] + PRIOR_ERRORS * PRIOR[0]
    for i in range(len(levels)):
        wanted = levels[i] * total
        while below + mass < wanted and cell < CELLS - 1:
            below += mass
            cell += 1
            mass = histogram[cell] + PRIOR_ERRORS * PRIOR[cell]
        share = min((wanted - below) / mass, 1.0) if mass > 0.0 else 1.0
        out[i] = EDGES[cell] + (EDGES[cell + 1] - EDGES[cell]) * share


@njit(cache=True, nogil=True)
def tilted(tilt: F64, levels: F64, out: F64) -> None:
    """The levels to ask for so that `levels` are covered: adaptive conformal inference.

    Gibbs and Candes, 2021.
    """
    for i in range(len(levels)):
        level = levels[i]
        left, low = 0.0, 0.0
        asked = level
        for j in range(len(LEVELS) + 1):
            right = LEVELS[j] if j < len(LEVELS) else 1.0
            high = tilt[j] if j < len(LEVELS) else 0.0
            if level <= right:
                asked = level + low + (high - low) * (level - left) / (right - left)
                break
            left, low = right, high
        asked = min(max(asked, 1.0 - FARTHEST_LEVEL), max(FARTHEST_LEVEL, level))
        out[i] = max(asked, out[i - 1]) if i > 0 else asked


@njit(cache=True, nogil=True)
def write_features(row: Any, ahead_ms: float, x: F64) -> None:
    """The regressors for a value that long after the last sample."""
    now, then = row.last_ms, row.last_ms + ahead_ms
    value, scale = row.value, max(row.scale, 1e-9)
    x[0] = 0.1
    x[1] = (row.fast - value) / scale
    x[2] = (row.middle - value) / scale
    x[3] = (row.slow - value) / scale
    x[4] = row.trend * min(ahead_ms, DAY_MS) / scale
    x[5] = (
        row.hour[cell_of(then, HOUR_MS, HOUR_CELLS)] - row.hour[cell_of(now, HOUR_MS, HOUR_CELLS)]
    ) / scale
    day_then, day_now = cell_of(then, DAY_MS, DAY_CELLS), cell_of(now, DAY_MS, DAY_CELLS)
    x[6] = x[7] = x[8] = x[9] = 0.0
    if row.day_seen[day_then] > 0:
        x[6] = (row.day[day_then] - row.day[day_now]) / scale
        x[7] = (row.day[day_then] - value) / scale
        x[8] = (row.yesterday[day_then] - value) / scale
    x[10] = 0.0
    if row.period > 0.0:
        x[10] = (cycle_mean(row, ahead_ms / row.cadence_ms) - value) / scale
    week_then = cell_of(then, WEEK_MS, WEEK_CELLS)
    if row.week_seen[week_then] > 0:
        x[9] = (row.week[week_then] - value) / scale
    for i in range(FEATURES):
        x[i] = bounded(x[i])


@njit(cache=True, nogil=True)
def write_spreads(row: Any, k: int, ahead_ms: float, s: F64) -> None:
    """The regressors of the spread for a value that long after the last sample."""
    s[0] = 0.1
    s[1] = row.short_volatility
    s[2] = row.long_volatility
    s[3] = 0.3 * abs(row.value) / max(row.scale, 1e-9)
    s[4] = row.error_day[k, cell_of(row.last_ms + ahead_ms, DAY_MS, ERROR_CELLS)]
    for i in range(SPREADS):
        s[i] = bounded(s[i])


@njit(cache=True, nogil=True)
def _shares(row: Any, k: int, centre: F64, shares: F64) -> None:
    """Weights of the models below the ensemble, from their recent losses; of those that have a centre."""
    models = len(centre) - 1
    least = math.inf
    for m in range(models):
        if row.tried[k, m] > 0 and not math.isnan(centre[m]):
            least = min(least, row.loss[k, m])
    total = 0.0
    for m in range(models):
        shares[m] = 0.0
        if math.isnan(centre[m]):
            continue
        if least == math.inf:
            shares[m] = 1.0 if m == PERSISTENCE else 0.0
        elif row.tried[k, m] > 0:
            shares[m] = ((least + 1e-12) / (row.loss[k, m] + 1e-12)) ** SHARPNESS
        total += shares[m]
    for m in range(models):
        shares[m] /= total if total > 0.0 else 1.0


@njit(cache=True, nogil=True)
def mix(row: Any, k: int, centre: F64) -> None:
    """Write the ensemble's centre, last, from its members'."""
    shares = np.empty(len(centre) - 1)
    _shares(row, k, centre, shares)
    together = 0.0
    for m in range(len(shares)):
        if shares[m] > 0.0:
            together += shares[m] * centre[m]
    centre[-1] = together


@njit(cache=True, nogil=True)
def sane(rise: float) -> float:
    """A rise by a model from outside, in units of scale; NaN where that model has broken down."""
    return rise if abs(rise) <= MOST_RISE else math.nan


@njit(cache=True, nogil=True)
def write_centres(row: Any, k: int, ahead_ms: float, x: F64, centre: F64) -> None:
    """Rises over the last value, in units of scale, by each native model and by the ensemble.

    Models from outside have put theirs between the two (NaN: none) before.
    """
    centre[PERSISTENCE] = 0.0
    # Regressor 8 is the rise to yesterday's value.
    known = row.day_seen[cell_of(row.last_ms + ahead_ms, DAY_MS, DAY_CELLS)] > 0
    centre[NAIVE] = x[8] if known else math.nan
    week = row.week_seen[cell_of(row.last_ms + ahead_ms, WEEK_MS, WEEK_CELLS)] > 0
    centre[WEEKLY] = x[9] if week else math.nan
    rise = 0.0
    for i in range(FEATURES):
        rise += row.weights[k, i] * x[i]
    # Far ahead, what is learnt before there is a yesterday would have to be unlearnt after.
    centre[REGRESSION] = rise if math.isfinite(rise) and (known or ahead_ms <= HOUR_MS) else math.nan
    centre[CYCLE] = x[10] if row.period > 0.0 else math.nan
    # A regression learns where in the cycle its own horizon lies, and is wrong elsewhere in it.
    if abs(ahead_ms - horizon_ms(row.cadence_ms, k)) > 0.1 * row.period * row.cadence_ms > 0.0:
        centre[REGRESSION] = math.nan
    mix(row, k, centre)


@njit(cache=True, nogil=True)
def spread_of(row: Any, k: int, m: int, s: F64) -> float:
    """The spread of a model's errors, in units of scale."""
    spread = 0.0
    for i in range(SPREADS):
        spread += row.spread_weights[k, m, i] * s[i]
    least = 0.1 * (row.long_volatility + s[4]) + 1e-5
    return float(max(spread, least)) if math.isfinite(spread) else float(least)
