"""How the seasonal forecaster learns, sample by sample, and forecasts; see `seasonal_state`."""

import math
from typing import Any

import numpy as np
from numba import njit

from detectors.forecasting.port import F64, I64, Table
from detectors.forecasting.regression import bounded, regress, scale_share, start_regression
from detectors.forecasting.seasonal_models import (
    cell_of,
    forgetting,
    horizon_ms,
    mix,
    pace,
    sane,
    spread_of,
    standard_quantiles,
    tilted,
    write_centres,
    write_features,
    write_spreads,
)
from detectors.forecasting.seasonal_period import follow_period
from detectors.forecasting.seasonal_state import (
    CELLS,
    DAY_CELLS,
    DAY_MS,
    EDGES,
    ERROR_CELLS,
    FARTHEST_LEVEL,
    FEATURES,
    HISTOGRAM_DAYS,
    HORIZONS,
    HOUR_CELLS,
    HOUR_MS,
    HUBER,
    LEVELS,
    LOSS_DAYS,
    NATIVE,
    REGRESSION,
    REGRESSION_DAYS,
    SLOTS,
    SPREAD_DAYS,
    SPREADS,
    TILT_STEP,
    WEEK_CELLS,
    WEEK_MS,
)


@njit(cache=True, nogil=True)
def _restart_ensemble(row: Any, k: int) -> None:
    """Forget the ensemble's errors at a horizon, for its members have changed."""
    row.histogram[k, -1, :] = 0.0
    row.tilt[k, :] = 0.0
    row.spread_weights[k, -1, :] = 0.0
    row.spread_weights[k, -1, 0] = 0.1
    start_regression(row.spread_covariance[k, -1])


@njit(cache=True, nogil=True)
def _learn(row: Any, k: int, slot: int, value: float) -> None:
    """Learn from the forecast in a slot, now that its value is known."""
    rise = bounded((value - row.p_value[k, slot]) / row.p_scale[k, slot])
    models = row.p_centre.shape[2]
    # Once there is a yesterday, what was forecast without one tells nothing about the ensemble.
    blind = math.isnan(row.p_centre[k, slot, REGRESSION])
    if blind and row.tried[k, REGRESSION] > 0:
        return
    if not blind and row.tried[k, REGRESSION] == 0:
        _restart_ensemble(row, k)
    regression_forget = forgetting(row, k, REGRESSION_DAYS)
    spread_forget = forgetting(row, k, SPREAD_DAYS)
    histogram_forget = forgetting(row, k, HISTOGRAM_DAYS)
    loss_forget = forgetting(row, k, LOSS_DAYS)
    z_levels = np.empty(len(LEVELS))
    # Errors of forecasts that overlap come together, so each counts for less.
    ahead = horizon_ms(row.cadence_ms, k)
    overlap = max(1.0, ahead / row.cadence_ms / pace(row.cadence_ms, ahead))
    for i in range(len(LEVELS)):
        covered = 1.0 if rise <= row.p_quantiles[k, slot, i] else 0.0
        step = TILT_STEP * LEVELS[i] * (1.0 - LEVELS[i]) / overlap
        tilt = row.tilt[k, i] + step * (LEVELS[i] - covered)
        # Past these bounds the histogram has nothing more to give.
        row.tilt[k, i] = min(max(tilt, -0.9 * LEVELS[i]), FARTHEST_LEVEL - LEVELS[i])
    # The ensemble's errors are those of its members as they are weighted now, not as they were then.
    mix(row, k, row.p_centre[k, slot])
    row.p_spread[k, slot, models - 1] = spread_of(row, k, models - 1, row.p_spreads[k, slot])
    for m in range(models):
        centre = row.p_centre[k, slot, m]
        if math.isnan(centre):
            continue
        spread = row.p_spread[k, slot, m]
        gap = rise - centre
        standard_quantiles(row.histogram[k, m], LEVELS, z_levels)
        loss = 0.0
        for i in range(len(LEVELS)):
            over = gap - spread * z_levels[i]
            loss += LEVELS[i] * over if over >= 0.0 else (LEVELS[i] - 1.0) * over
        row.tried[k, m] += 1
        row.loss[k, m] += max(1.0 - loss_forget, 1.0 / row.tried[k, m]) * (loss - row.loss[k, m])
        cell = min(max(np.searchsorted(EDGES, gap / spread) - 1, 0), CELLS - 1)
        for i in range(CELLS):
            row.histogram[k, m, i] *= histogram_forget
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
            error - expected, precision, spread_forget,
        )  # fmt: skip
        if m == REGRESSION:
            now = 0.0
            for i in range(FEATURES):
                now += row.weights[k, i] * x[i]
            regress(row.weights[k], row.covariance[k], x, rise - now, precision, regression_forget)
            phase = cell_of(row.p_due_ms[k, slot], DAY_MS, ERROR_CELLS)
            row.error_day[k, phase] += (0.05 if ahead <= HOUR_MS else 0.3) * (error - row.error_day[k, phase])


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
    usual = max(1.0 / row.count, share / 6.0)
    row.scale += (abs(value) - row.scale) * scale_share(abs(value), row.scale, usual)
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
    hour = cell_of(time_ms, HOUR_MS, HOUR_CELLS)
    row.hour[hour] += 0.1 * (value - row.middle - row.hour[hour])
    _follow_day(row, time_ms, value)
    missed = 0
    if row.count > 2:
        missed = round(min((time_ms - row.last_ms) / row.cadence_ms, 1e6)) - 1
    follow_period(row, value, max(missed, 0))
    row.last_ms, row.value = time_ms, value


@njit(cache=True, nogil=True)
def _follow_day(row: Any, time_ms: float, value: float) -> None:
    """Update the tables of the day and of the week; the first value seen fills a cell."""
    day = cell_of(time_ms, DAY_MS, DAY_CELLS)
    if row.day_seen[day] == 0:
        row.day_seen[day] = 1
        row.day[day] = row.yesterday[day] = value
    part = min(row.cadence_ms / (DAY_MS / DAY_CELLS), 1.0)
    row.day[day] += 0.35 * part * (value - row.day[day])
    row.yesterday[day] += min(1.5 * part, 1.0) * (value - row.yesterday[day])
    week = cell_of(time_ms, WEEK_MS, WEEK_CELLS)
    if row.week_seen[week] == 0:
        row.week_seen[week] = 1
        row.week[week] = value
    part = min(row.cadence_ms / (WEEK_MS / WEEK_CELLS), 1.0)
    row.week[week] += min(0.8 * part, 1.0) * (value - row.week[week])


@njit(cache=True, nogil=True)
def _issue(row: Any, outside: F64) -> None:
    """Make the forecasts that are due to be tried; `outside` is `[model, horizon]` of values, or empty."""
    asked = np.empty(len(LEVELS))
    z = np.empty(len(LEVELS))
    for k in range(HORIZONS):
        ahead = horizon_ms(row.cadence_ms, k)
        if ahead <= 0.0:
            break
        every = pace(row.cadence_ms, ahead)
        if row.count % every:
            continue
        slot = (row.count // every) % SLOTS
        scale = max(row.scale, 1e-9)
        row.p_due_ms[k, slot] = row.last_ms + ahead
        row.p_value[k, slot] = row.value
        row.p_scale[k, slot] = scale
        for m in range(len(outside)):
            row.p_centre[k, slot, NATIVE + m] = sane((outside[m, k] - row.value) / scale)
        write_features(row, ahead, row.p_features[k, slot])
        write_spreads(row, k, ahead, row.p_spreads[k, slot])
        write_centres(row, k, ahead, row.p_features[k, slot], row.p_centre[k, slot])
        for m in range(row.p_centre.shape[2]):
            row.p_spread[k, slot, m] = spread_of(row, k, m, row.p_spreads[k, slot])
        tilted(row.tilt[k], LEVELS, asked)
        standard_quantiles(row.histogram[k, -1], asked, z)
        for i in range(len(LEVELS)):
            rise = row.p_centre[k, slot, -1] + row.p_spread[k, slot, -1] * z[i]
            # What never was negative is not forecast to be, so that is not what is covered either.
            least = -row.value / scale if row.lowest >= 0.0 else -math.inf
            row.p_quantiles[k, slot, i] = max(rise, least)


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
    asked = np.empty(len(levels))
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
                    centre[NATIVE + m] = sane((outside[i, m, j] - row.value) / scale)
                write_features(row, ahead, x)
                write_spreads(row, k, ahead, s)
                write_centres(row, k, ahead, x, centre)
                asked[:] = levels
                if model == row.p_centre.shape[2] - 1:
                    tilted(row.tilt[k], levels, asked)
                standard_quantiles(row.histogram[k, model], asked, z)
                spread = spread_of(row, k, model, s)
                for q in range(len(levels)):
                    value = row.value + scale * (centre[model] + spread * z[q])
                    out[i, j, q] += share * value
            if row.lowest >= 0.0:  # what never was negative is not forecast to be
                for q in range(len(levels)):
                    out[i, j, q] = max(out[i, j, q], 0.0)
