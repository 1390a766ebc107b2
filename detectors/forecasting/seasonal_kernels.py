"""Compiled arithmetic of the seasonal forecaster; its state is described in `seasonal_state`."""

import math
from typing import Any

import numpy as np
from numba import njit

from detectors.forecasting.port import F64, I64, Table
from detectors.forecasting.regression import regress, start_regression
from detectors.forecasting.seasonal_state import (
    CELLS,
    DAY_CELLS,
    DAY_MS,
    EDGES,
    ERROR_CELLS,
    FEATURES,
    HISTOGRAM_FORGET,
    HORIZONS,
    HOUR_CELLS,
    HOUR_MS,
    HUBER,
    LEVELS,
    LOSS_FORGET,
    NAIVE,
    NATIVE,
    PACE,
    PERSISTENCE,
    REGRESSION,
    REGRESSION_FORGET,
    SHARPNESS,
    SLOTS,
    SPREADS,
    WEEK_CELLS,
    WEEK_MS,
)


@njit(cache=True, nogil=True)
def _cell(time_ms: float, period_ms: float, cells: int) -> int:
    """The cell of a circular table that a time falls into."""
    return min(int((time_ms % period_ms) / period_ms * cells), cells - 1)


@njit(cache=True, nogil=True)
def horizon_ms(cadence_ms: float, k: int) -> float:
    """The k-th learnt horizon: the cadence times a power of two, a day at most; 0 past the last."""
    base = max(cadence_ms, DAY_MS / 2 ** (HORIZONS - 1))
    before = base * 2.0 ** (k - 1)
    return 0.0 if k > 0 and before >= DAY_MS else min(2.0 * before, DAY_MS) if k > 0 else base


@njit(cache=True, nogil=True)
def _quantiles(histogram: Any, levels: F64, out: F64) -> None:
    """Quantiles of the standardised errors at ascending `levels`; a normal's width before any error."""
    total = 0.0
    for k in range(CELLS):
        total += histogram[k]
    if total <= 0.0:
        for i in range(len(levels)):
            level = min(max(levels[i], 1e-6), 1.0 - 1e-6)
            out[i] = 0.7 * math.log(level / (1.0 - level))  # logistic, about normal errors over their mean
        return
    below = 0.0
    cell = 0
    for i in range(len(levels)):
        while below + histogram[cell] < levels[i] * total and cell < CELLS - 1:
            below += histogram[cell]
            cell += 1
        mass = histogram[cell]
        share = min((levels[i] * total - below) / mass, 1.0) if mass > 0.0 else 1.0
        out[i] = EDGES[cell] + (EDGES[cell + 1] - EDGES[cell]) * share


@njit(cache=True, nogil=True)
def _features(row: Any, ahead_ms: float, x: F64) -> float:
    """The regressors for a value that long after the last sample; yesterday's value then, NaN if unseen."""
    now, then = row.last_ms, row.last_ms + ahead_ms
    value, scale = row.value, max(row.scale, 1e-9)
    x[0] = 0.1
    x[1] = (row.fast - value) / scale
    x[2] = (row.middle - value) / scale
    x[3] = (row.slow - value) / scale
    x[4] = row.trend * min(ahead_ms, DAY_MS) / scale
    x[5] = (row.hour[_cell(then, HOUR_MS, HOUR_CELLS)] - row.hour[_cell(now, HOUR_MS, HOUR_CELLS)]) / scale
    day_then, day_now = _cell(then, DAY_MS, DAY_CELLS), _cell(now, DAY_MS, DAY_CELLS)
    yesterday = math.nan
    x[6] = x[7] = x[8] = x[9] = 0.0
    if row.day_seen[day_then] > 0:
        yesterday = float(row.yesterday[day_then])
        x[6] = (row.day[day_then] - row.day[day_now]) / scale
        x[7] = (row.day[day_then] - value) / scale
        x[8] = (yesterday - value) / scale
    week_then = _cell(then, WEEK_MS, WEEK_CELLS)
    if row.week_seen[week_then] > 0:
        x[9] = (row.week[week_then] - value) / scale
    return yesterday


@njit(cache=True, nogil=True)
def _spreads(row: Any, k: int, ahead_ms: float, s: F64) -> None:
    """The regressors of the spread for a value that long after the last sample."""
    s[0] = 0.1
    s[1] = row.short_volatility
    s[2] = row.long_volatility
    s[3] = 0.3 * abs(row.value) / max(row.scale, 1e-9)
    s[4] = row.error_day[k, _cell(row.last_ms + ahead_ms, DAY_MS, ERROR_CELLS)]


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
def _centres(row: Any, k: int, yesterday: float, x: F64, centre: F64) -> None:
    """Rises over the last value, in units of scale, by each native model and by the ensemble.

    Models from outside have put theirs between the two (NaN: none) before.
    """
    scale = max(row.scale, 1e-9)
    centre[PERSISTENCE] = 0.0
    centre[NAIVE] = (yesterday - row.value) / scale
    rise = 0.0
    for i in range(FEATURES):
        rise += row.weights[k, i] * x[i]
    centre[REGRESSION] = rise if math.isfinite(rise) else 0.0
    shares = np.empty(len(centre) - 1)
    _shares(row, k, centre, shares)
    together = 0.0
    for m in range(len(shares)):
        if shares[m] > 0.0:
            together += shares[m] * centre[m]
    centre[-1] = together


@njit(cache=True, nogil=True)
def _spread(row: Any, k: int, m: int, s: F64) -> float:
    spread = 0.0
    for i in range(SPREADS):
        spread += row.spread_weights[k, m, i] * s[i]
    least = 0.1 * (row.long_volatility + s[4]) + 1e-5
    return max(spread, least) if math.isfinite(spread) else least


@njit(cache=True, nogil=True)
def _learn(row: Any, k: int, slot: int, value: float) -> None:
    """Learn from the forecast in a slot, now that its value is known."""
    rise = (value - row.p_value[k, slot]) / row.p_scale[k, slot]
    models = row.p_centre.shape[2]
    z_levels = np.empty(len(LEVELS))
    for m in range(models):
        centre = row.p_centre[k, slot, m]
        if math.isnan(centre):
            continue
        spread = row.p_spread[k, slot, m]
        gap = rise - centre
        _quantiles(row.histogram[k, m], LEVELS, z_levels)
        loss = 0.0
        for i in range(len(LEVELS)):
            over = gap - spread * z_levels[i]
            loss += LEVELS[i] * over if over >= 0.0 else (LEVELS[i] - 1.0) * over
        row.tried[k, m] += 1
        row.loss[k, m] += max(1.0 - LOSS_FORGET, 1.0 / row.tried[k, m]) * (loss - row.loss[k, m])
        cell = min(max(np.searchsorted(EDGES, gap / spread) - 1, 0), CELLS - 1)
        for i in range(CELLS):
            row.histogram[k, m, i] *= HISTOGRAM_FORGET
        row.histogram[k, m, cell] += 1.0
        huber = 1.0 if abs(gap) < HUBER * spread else HUBER * spread / abs(gap)
        precision = huber * min(1.0 / (spread * spread), 100.0)
        x, s = row.p_features[k, slot], row.p_spreads[k, slot]
        error = min(abs(gap), 10.0 * spread + 0.05)
        expected = 0.0
        for i in range(SPREADS):
            expected += row.spread_weights[k, m, i] * s[i]
        regress(
            row.spread_weights[k, m], row.spread_covariance[k, m], s,
            error - expected, precision, REGRESSION_FORGET,
        )  # fmt: skip
        if m == REGRESSION:
            now = 0.0
            for i in range(FEATURES):
                now += row.weights[k, i] * x[i]
            regress(row.weights[k], row.covariance[k], x, rise - now, precision, REGRESSION_FORGET)
            phase = _cell(row.p_due_ms[k, slot], DAY_MS, ERROR_CELLS)
            row.error_day[k, phase] += 0.05 * (error - row.error_day[k, phase])


@njit(cache=True, nogil=True)
def _follow(row: Any, time_ms: float, value: float) -> None:
    """Update cadence, levels, volatilities and tables with a sample."""
    if row.count == 0:
        row.fast = row.middle = row.slow = row.lowest = row.value = value
        row.last_ms = time_ms
        for k in range(HORIZONS):
            start_regression(row.covariance[k])
            for m in range(row.spread_covariance.shape[1]):
                start_regression(row.spread_covariance[k, m])
                row.spread_weights[k, m, 0] = 0.1
    elif row.cadence_ms <= 0.0:
        row.cadence_ms = time_ms - row.last_ms
    else:
        gap = time_ms - row.last_ms
        if gap < row.cadence_ms:
            row.cadence_ms = max(gap, 0.8 * row.cadence_ms)
        else:  # samples go missing more often than the cadence slows down
            row.cadence_ms += 0.02 * (min(gap, 2.0 * row.cadence_ms) - row.cadence_ms)
    row.count += 1
    share = min(max(row.cadence_ms, 1.0) / 3_600_000.0, 0.5)  # of an hour
    row.scale += (abs(value) - row.scale) * max(1.0 / row.count, share / 6.0)
    row.fast += 0.4 * (value - row.fast)
    row.middle += min(4.0 * share, 0.3) * (value - row.middle)
    before = row.slow
    row.slow += max(1.0 / row.count, share / 24.0) * (value - row.slow)
    if row.count > 2:
        slope = (row.slow - before) / max(time_ms - row.last_ms, 1.0)
        row.trend += share / 24.0 * (slope - row.trend)
    step = abs(value - row.value) / max(row.scale, 1e-9)
    row.short_volatility += 0.1 * (step - row.short_volatility)
    row.long_volatility += 0.02 * (step - row.long_volatility)
    row.lowest = min(row.lowest, value)
    hour = _cell(time_ms, HOUR_MS, HOUR_CELLS)
    row.hour[hour] += 0.1 * (value - row.middle - row.hour[hour])
    _follow_day(row, time_ms, value)
    row.last_ms, row.value = time_ms, value


@njit(cache=True, nogil=True)
def _follow_day(row: Any, time_ms: float, value: float) -> None:
    """Update the tables of the day and of the week; the first value seen fills a cell."""
    day = _cell(time_ms, DAY_MS, DAY_CELLS)
    if row.day_seen[day] == 0:
        row.day_seen[day] = 1
        row.day[day] = row.yesterday[day] = value
    part = min(row.cadence_ms / (DAY_MS / DAY_CELLS), 1.0)
    row.day[day] += 0.35 * part * (value - row.day[day])
    row.yesterday[day] += min(1.5 * part, 1.0) * (value - row.yesterday[day])
    week = _cell(time_ms, WEEK_MS, WEEK_CELLS)
    if row.week_seen[week] == 0:
        row.week_seen[week] = 1
        row.week[week] = value
    part = min(row.cadence_ms / (WEEK_MS / WEEK_CELLS), 1.0)
    row.week[week] += min(0.8 * part, 1.0) * (value - row.week[week])


@njit(cache=True, nogil=True)
def _issue(row: Any, outside: F64) -> None:
    """Make the forecasts that are due to be tried; `outside` is `[model, horizon]` of values, or empty."""
    for k in range(HORIZONS):
        ahead = horizon_ms(row.cadence_ms, k)
        if ahead <= 0.0:
            break
        pace = max(1, int(math.ceil(ahead / row.cadence_ms / PACE)))
        if row.count % pace:
            continue
        slot = (row.count // pace) % SLOTS
        scale = max(row.scale, 1e-9)
        row.p_due_ms[k, slot] = row.last_ms + ahead
        row.p_value[k, slot] = row.value
        row.p_scale[k, slot] = scale
        for m in range(len(outside)):
            row.p_centre[k, slot, NATIVE + m] = (outside[m, k] - row.value) / scale
        yesterday = _features(row, ahead, row.p_features[k, slot])
        _spreads(row, k, ahead, row.p_spreads[k, slot])
        _centres(row, k, yesterday, row.p_features[k, slot], row.p_centre[k, slot])
        for m in range(row.p_centre.shape[2]):
            row.p_spread[k, slot, m] = _spread(row, k, m, row.p_spreads[k, slot])


@njit(cache=True, nogil=True)
def _observe(row: Any, time_ms: float, value: float, outside: F64) -> None:
    if not math.isfinite(value) or (row.count > 0 and time_ms <= row.last_ms):
        return
    for k in range(HORIZONS):
        for slot in range(SLOTS):
            due = row.p_due_ms[k, slot]
            if due > 0.0 and time_ms >= due - 0.5 * row.cadence_ms:
                if time_ms <= due + 0.75 * row.cadence_ms:
                    _learn(row, k, slot, value)
                row.p_due_ms[k, slot] = 0.0
    _follow(row, time_ms, value)
    if row.cadence_ms > 0.0:
        _issue(row, outside)


@njit(cache=True, nogil=True)
def update(table: Table, rows: I64, times: I64, values: F64, outside: F64) -> None:
    """Learn one sample per entry of `rows`; `outside` is `[sample, model, horizon]`."""
    for i in range(len(rows)):
        _observe(table[rows[i]], float(times[i]), values[i], outside[i])


@njit(cache=True, nogil=True)
def forecast(table: Table, rows: I64, horizons: F64, levels: F64, model: int, outside: F64, out: F64) -> None:
    """Write `[row, horizon, level]`; between learnt horizons their models are mixed.

    `outside` is `[row, model, horizon]` of values by the models from outside at the asked horizons.
    """
    z = np.empty(len(levels))
    x = np.empty(FEATURES)
    s = np.empty(SPREADS)
    for i in range(len(rows)):
        row = table[rows[i]]
        if row.count == 0:
            out[i, :, :] = math.nan
            continue
        centre = np.empty(row.p_centre.shape[2])
        scale = max(row.scale, 1e-9)
        for j in range(len(horizons)):
            ahead = horizons[j]
            exact = math.log2(max(ahead / max(horizon_ms(row.cadence_ms, 0), 1.0), 1.0))
            last = 0
            while last + 1 < HORIZONS and horizon_ms(row.cadence_ms, last + 1) > 0.0:
                last += 1
            low = min(int(exact), last)
            high = min(low + 1, last)
            part = min(exact - low, 1.0) if high > low else 0.0
            out[i, j, :] = 0.0
            for side in range(2):
                k = low if side == 0 else high
                share = 1.0 - part if side == 0 else part
                if share <= 0.0:
                    continue
                for m in range(outside.shape[1]):
                    centre[NATIVE + m] = (outside[i, m, j] - row.value) / scale
                yesterday = _features(row, ahead, x)
                _spreads(row, k, ahead, s)
                _centres(row, k, yesterday, x, centre)
                _quantiles(row.histogram[k, model], levels, z)
                spread = _spread(row, k, model, s)
                for q in range(len(levels)):
                    value = row.value + scale * (centre[model] + spread * z[q])
                    out[i, j, q] += share * value
            if row.lowest >= 0.0:  # what never was negative is not forecast to be
                for q in range(len(levels)):
                    out[i, j, q] = max(out[i, j, q], 0.0)
