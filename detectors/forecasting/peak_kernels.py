"""Compiled arithmetic of the peak forecaster; its state is described in `peak_state`.

Everything is measured in units of `scale`, the series' slow mean, so a change of unit changes nothing.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from detectors.forecasting.peak_state import (
    AHEAD,
    CELLS,
    DAY,
    EDGES,
    FEATURES,
    HEADS,
    HISTOGRAM_FORGET,
    HOUR,
    HUBER,
    MOOD_FORGET,
    MOOD_PRIOR,
    MOST_GAP,
    MOST_RISE,
    PEAK,
    RECENT,
    REGRESSION_FORGET,
    SKILL_FORGET,
    SKILL_FROM,
    SKILL_LEVEL,
    SPREADS,
    SURPRISE,
    SURPRISE_SAMPLES,
    WEEK,
)
from detectors.forecasting.port import F64, I64, Table
from detectors.forecasting.regression import bounded, regress, scale_share, start_regression


@njit(cache=True, nogil=True)
def _standard_quantiles(row: Any, head: int, mood: int, levels: F64, out: F64) -> None:
    """Quantiles of the standardised errors at ascending `levels`, linear within a cell."""
    common = 0.0
    own = 0.0
    for k in range(CELLS):
        common += row.common[head, k]
        own += row.by_mood[head, mood, k]
    if common <= 0.0:
        out[:] = math.nan
        return
    total = MOOD_PRIOR + own
    below = 0.0
    cell = 0
    mass = MOOD_PRIOR * row.common[head, 0] / common + row.by_mood[head, mood, 0]
    for i in range(len(levels)):
        wanted = levels[i] * total
        while below + mass < wanted and cell < CELLS - 1:
            below += mass
            cell += 1
            mass = MOOD_PRIOR * row.common[head, cell] / common + row.by_mood[head, mood, cell]
        share = min((wanted - below) / mass, 1.0) if mass > 0.0 else 1.0
        out[i] = EDGES[cell] + (EDGES[cell + 1] - EDGES[cell]) * share


@njit(cache=True, nogil=True)
def _pinball(gap: float, level: float) -> float:
    return level * gap if gap >= 0.0 else (level - 1.0) * gap


@njit(cache=True, nogil=True)
def _held(gap: float) -> float:
    """An error as far as it counts for skill: what came out of nothing says little about either."""
    return min(max(gap, -MOST_GAP), MOST_GAP)


@njit(cache=True, nogil=True)
def _learn_head(row: Any, slot: int, head: int, rise: float) -> None:
    """Learn one head's error on the forecast in `slot`; `rise` is what came, in units of its scale."""
    centre, spread = row.p_centre[slot, head], row.p_spread[slot, head]
    gap = rise - centre
    z = gap / spread
    cell = min(max(np.searchsorted(EDGES, z) - 1, 0), CELLS - 1)
    mood = row.p_mood[slot, head]
    for k in range(CELLS):
        row.common[head, k] *= HISTOGRAM_FORGET
        row.by_mood[head, mood, k] *= MOOD_FORGET
    row.common[head, cell] += 1.0 - HISTOGRAM_FORGET
    row.by_mood[head, mood, cell] += 1.0
    if z > SURPRISE:
        row.surprised[head] = row.count

    # Huber weights: a spike moves the regressions no more than a large common error does.
    huber = 1.0 if abs(z) < HUBER else HUBER / abs(z)
    precision = huber * min(1.0 / (spread * spread), 100.0)
    error = min(abs(gap), 10.0 * spread + 0.05)
    expected = 0.0
    for k in range(SPREADS):
        expected += row.spread_weights[head, k] * row.p_spreads[slot, head, k]
    centre_now = 0.0
    for k in range(FEATURES):
        centre_now += row.weights[head, k] * row.p_features[slot, head, k]
    regress(
        row.weights[head], row.covariance[head], row.p_features[slot, head],
        rise - centre_now, precision, REGRESSION_FORGET,
    )  # fmt: skip
    regress(
        row.spread_weights[head], row.spread_covariance[head], row.p_spreads[slot, head],
        error - expected, precision, REGRESSION_FORGET,
    )  # fmt: skip

    hour, day, week = row.p_phase[slot, 0], row.p_phase[slot, 1], row.p_phase[slot, 2]
    tame = min(max(rise, -2.0), max(centre + 20.0 * spread, MOST_RISE))
    row.rise_hour[head, hour] += 0.08 * (tame - row.rise_hour[head, hour])
    row.rise_day[head, day] += 0.3 * (tame - row.rise_day[head, day])
    row.rise_week[head, week] += 0.1 * (tame - row.rise_week[head, week])
    row.day_before[head, day] = tame
    same = week == row.week_cell  # a cell spans minutes: it keeps the highest of its last visit
    row.week_before[head, week] = max(row.week_before[head, week], tame) if same else tame
    row.error_hour[head, hour] += 0.08 * (error - row.error_hour[head, hour])
    row.error_day[head, day] += 0.3 * (error - row.error_day[head, day])


@njit(cache=True, nogil=True)
def _learn(row: Any, slot: int) -> None:
    """Learn from the forecast in `slot`, whose window the newest sample closes."""
    peak = -math.inf
    for k in range(row.lead):
        peak = max(peak, row.recent[(row.count - 1 - k) % RECENT])
    value, scale = row.p_value[slot], row.p_scale[slot]
    rise = bounded((peak - value) / scale)
    if row.learnt >= SKILL_FROM and not math.isnan(row.p_model[slot]):
        # A unit fixed at the time of the forecast keeps a spike from dominating for ever.
        model = _pinball(_held(rise - row.p_model[slot]), SKILL_LEVEL)
        naive = _pinball(_held(rise - row.p_naive[slot]), SKILL_LEVEL)
        row.model_loss += (1.0 - SKILL_FORGET) * (model - row.model_loss)
        row.naive_loss += (1.0 - SKILL_FORGET) * (naive - row.naive_loss)
    share = SKILL_LEVEL if rise > row.naive_rise else SKILL_LEVEL - 1.0
    row.naive_rise += 0.05 * (row.long_volatility + 1e-6) * share
    _learn_head(row, slot, PEAK, rise)
    _learn_head(row, slot, AHEAD, bounded((row.recent[(row.count - 1) % RECENT] - value) / scale))
    row.week_cell = row.p_phase[slot, 2]
    row.learnt += 1


@njit(cache=True, nogil=True)
def _write_features(row: Any, slot: int, value: float) -> None:
    """The regressors as of the newest sample, whose phases are in the slot already."""
    scale = row.p_scale[slot]
    newest = row.count - 1
    before = row.recent[(newest - 1) % RECENT] if newest >= 1 else value
    before2 = row.recent[(newest - 2) % RECENT] if newest >= 2 else before
    before4 = row.recent[(newest - 4) % RECENT] if newest >= 4 else before2
    high15 = high60 = low15 = value
    for k in range(1, min(60, row.count)):
        past = row.recent[(newest - k) % RECENT]
        high60 = max(high60, past)
        if k < 15:
            high15 = max(high15, past)
            low15 = min(low15, past)
    for head in range(HEADS):
        x = row.p_features[slot, head]
        x[0] = 1.0
        x[1] = (value - before) / scale
        x[2] = (before - before2) / scale
        x[3] = (before2 - before4) / scale
        x[4] = (value - row.fast) / scale
        x[5] = (row.fast - row.middle) / scale
        x[6] = (high15 - value) / scale
        x[7] = (low15 - value) / scale
        x[8] = (high60 - value) / scale
        x[9] = value / scale
        x[10] = row.short_volatility
        s = row.p_spreads[slot, head]
        s[0] = 0.1
        s[1] = row.short_volatility
        s[2] = row.long_volatility
        s[3] = 0.3 * abs(value) / scale
        s[4] = (high15 - low15) / scale
        s[5] = abs(x[1])
        s[6] = abs(x[4])
        _write_phase_features(row, slot, head)
        for k in range(FEATURES):
            x[k] = bounded(x[k])
        for k in range(SPREADS):
            s[k] = bounded(s[k])


@njit(cache=True, nogil=True)
def _write_phase_features(row: Any, slot: int, head: int) -> None:
    """The regressors from what was seen at these phases of the hour, the day and the week."""
    hour, day, week = row.p_phase[slot, 0], row.p_phase[slot, 1], row.p_phase[slot, 2]
    usual = 0.0
    most = -math.inf
    for k in range(-2, 3):
        around = row.rise_day[head, (day + k) % DAY]
        usual += around / 5.0
        most = max(most, around)
    yesterday = row.day_before[head, day]
    highest = max(row.day_before[head, (day + 1) % DAY], yesterday, row.day_before[head, (day - 1) % DAY])
    x = row.p_features[slot, head]
    x[11] = row.rise_hour[head, hour]
    x[12] = usual
    x[13] = most
    x[14] = row.rise_week[head, week]
    x[15] = row.rise_day[head, day]
    x[16] = yesterday
    x[17] = highest
    x[18] = row.week_before[head, week]
    error_hour = 0.0
    for k in range(-1, 2):
        error_hour += row.error_hour[head, (hour + k) % HOUR] / 3.0
    error_day = 0.0
    for k in range(-3, 4):
        error_day += row.error_day[head, (day + k) % DAY] / 7.0
    s = row.p_spreads[slot, head]
    s[7] = error_hour
    s[8] = error_day
    s[9] = abs(highest)
    s[10] = abs(row.week_before[head, week])
    s[11] = abs(row.rise_day[head, day])


@njit(cache=True, nogil=True)
def _predict(row: Any, slot: int, value: float) -> None:
    """Centre, spread and mood of both heads, from the regressors in the slot."""
    for head in range(HEADS):
        x, s = row.p_features[slot, head], row.p_spreads[slot, head]
        centre = 0.0
        for k in range(FEATURES):
            centre += row.weights[head, k] * x[k]
        spread = 0.0
        for k in range(SPREADS):
            spread += row.spread_weights[head, k] * s[k]
        least = 0.1 * (row.long_volatility + s[7] + 1e-4)
        # A peak beyond three times the last hour's reach, or the last day's or week's at this time, is
        # extrapolation, not evidence.
        reach = max(3.0 * (x[8] + 1.0), 1.2 * x[17], 1.2 * x[18])
        centre = max(min(centre, reach), -abs(value) / row.p_scale[slot])
        if not (math.isfinite(centre) and math.isfinite(spread)):
            centre, spread = 0.0, least
        row.p_centre[slot, head] = centre
        row.p_spread[slot, head] = max(spread, least)
        surprised = row.surprised[head]
        row.p_mood[slot, head] = 1 if surprised > 0 and row.count - surprised < SURPRISE_SAMPLES else 0


@njit(cache=True, nogil=True)
def _follow_time(row: Any, time_ms: float, startup_ms: float, max_lead: int) -> None:
    """Learn the cadence, and from it how many samples the window holds; notice gaps."""
    gap = time_ms - row.last_ms
    if row.cadence_ms <= 0.0 or 0.8 * row.cadence_ms <= gap < row.cadence_ms:
        row.cadence_ms = gap
    elif gap < row.cadence_ms:
        row.cadence_ms *= 0.8
    else:  # samples go missing more often than the cadence slows down
        row.cadence_ms += 0.02 * (min(gap, 2.0 * row.cadence_ms) - row.cadence_ms)
    if gap > 1.6 * row.cadence_ms:
        row.run = 0
    exact = startup_ms / row.cadence_ms + 1.0
    # Within a tenth of a sample the old window stays, so jitter does not flip it back and forth.
    if not row.lead - 1.1 <= exact <= row.lead + 0.1:
        lead = int(min(max_lead, math.ceil(exact - 0.1)))
        if lead != row.lead:
            row.lead = lead
            row.run = 0


@njit(cache=True, nogil=True)
def _follow_level(row: Any, value: float) -> None:
    """Update the slow mean, the smoothed values and the volatilities."""
    before = row.recent[(row.count - 2) % RECENT] if row.count > 1 else value
    row.scale += (abs(value) - row.scale) * scale_share(abs(value), row.scale, 1.0 / min(row.count, 180))
    if row.count == 1:
        row.fast = row.middle = value
    row.fast += 0.33 * (value - row.fast)
    row.middle += 0.065 * (value - row.middle)
    step = abs(value - before) / max(row.scale, 1e-9)
    row.short_volatility += 0.1 * (step - row.short_volatility)
    row.long_volatility += 0.02 * (step - row.long_volatility)


@njit(cache=True, nogil=True)
def _observe(row: Any, time_ms: float, value: float, startup_ms: float, max_lead: int) -> None:
    if not math.isfinite(value) or (row.count > 0 and time_ms <= row.last_ms):
        return
    if row.count == 0:
        for head in range(HEADS):
            start_regression(row.covariance[head])
            start_regression(row.spread_covariance[head])
            row.spread_weights[head, 0] = 0.1
    else:
        _follow_time(row, time_ms, startup_ms, max_lead)
    row.last_ms = time_ms
    row.recent[row.count % RECENT] = value
    row.count += 1
    row.run += 1
    if 0 < row.lead < row.run:
        slot = (row.count - 1 - row.lead) % (max_lead + 1)
        if row.p_count[slot] == row.count - row.lead:
            _learn(row, slot)
    _follow_level(row, value)

    slot = (row.count - 1) % (max_lead + 1)
    row.p_count[slot] = row.count
    row.p_value[slot] = value
    row.p_scale[slot] = max(row.scale, 1e-9)
    minute = int(time_ms // 60000.0)
    row.p_phase[slot, 0] = minute % HOUR
    row.p_phase[slot, 1] = minute % DAY
    row.p_phase[slot, 2] = (minute // 5) % WEEK
    _write_features(row, slot, value)
    _predict(row, slot, value)
    level = np.array([SKILL_LEVEL])
    z = np.empty(1)
    _standard_quantiles(row, PEAK, row.p_mood[slot, PEAK], level, z)
    row.p_model[slot] = row.p_centre[slot, PEAK] + row.p_spread[slot, PEAK] * z[0]
    row.p_naive[slot] = row.naive_rise


@njit(cache=True, nogil=True)
def update(table: Table, rows: I64, times: I64, values: F64, startup_ms: float, max_lead: int) -> None:
    """Learn one sample per entry of `rows`, in order; a row may occur more than once."""
    for i in range(len(rows)):
        _observe(table[rows[i]], float(times[i]), values[i], startup_ms, max_lead)


@njit(cache=True, nogil=True)
def quantiles(table: Table, rows: I64, levels: F64, max_lead: int, out: F64) -> None:
    """Write `[head, row, level]` as of each row's last sample; NaN where nothing has been learnt."""
    z = np.empty(len(levels))
    for i in range(len(rows)):
        row = table[rows[i]]
        if row.learnt == 0:
            out[:, i, :] = math.nan
            continue
        slot = (row.count - 1) % (max_lead + 1)
        for head in range(HEADS):
            _standard_quantiles(row, head, row.p_mood[slot, head], levels, z)
            for k in range(len(levels)):
                rise = row.p_centre[slot, head] + row.p_spread[slot, head] * z[k]
                out[head, i, k] = row.p_value[slot] + row.p_scale[slot] * rise
