"""Compiled arithmetic of the peak forecaster: one pass over samples, state in flat arrays.

A row of `core` (float64) holds the small state at the offsets below, a row of `profile` (float32) the
tables by phase. Everything is measured in units of `SCALE`, the series' slow mean, so a change of
unit changes nothing.
"""

import math

import numba
import numpy as np
from numpy.typing import NDArray

FEATURES = 15  # regressors of the peak's centre
SPREADS = 9  # regressors of its spread
BINS = 96  # cells of the histogram of standardised errors
RECENT = 64  # last values kept

# Offsets into a row of `core`.
COUNT, LAST_MS, CADENCE_MS, LEAD, RUN, SCALE, FAST, MIDDLE, SHORT_VOLATILITY, LONG_VOLATILITY, LEARNT = range(
    11
)
MODEL_LOSS, NAIVE_LOSS, NAIVE_SPREAD = 11, 12, 13
VALUES = 16
WEIGHTS = VALUES + RECENT
COVARIANCE = WEIGHTS + FEATURES
SPREAD_WEIGHTS = COVARIANCE + FEATURES * FEATURES
SPREAD_COVARIANCE = SPREAD_WEIGHTS + SPREADS
HISTOGRAM = SPREAD_COVARIANCE + SPREADS * SPREADS
PENDING = HISTOGRAM + BINS

# Offsets into one pending forecast.
P_VALUE, P_SCALE, P_CENTRE, P_SPREAD, P_HOUR, P_DAY, P_WEEK, P_INDEX, P_MODEL, P_NAIVE = range(10)
P_FEATURES = 10
P_SPREADS = P_FEATURES + FEATURES
PENDING_SIZE = P_SPREADS + SPREADS

# Tables by phase: minutes of the hour, minutes of the day, five-minute cells of the week.
HOUR, DAY, WEEK = 60, 1440, 2016
RISE_HOUR = 0
RISE_DAY = RISE_HOUR + HOUR
RISE_WEEK = RISE_DAY + DAY
ERROR_HOUR = RISE_WEEK + WEEK
ERROR_DAY = ERROR_HOUR + HOUR
PROFILE_SIZE = ERROR_DAY + DAY

EDGES = np.sinh(np.linspace(-3.0, 5.5, BINS + 1)) / 2.0  # fine near zero, wide in the tail
FORGET = 1.0 - 1.0 / 6000.0  # memory of the regressions and of the histogram, in samples
SKILL_LEVEL = 0.9  # the quantile on which skill against persistence is judged
SKILL_FORGET = 1.0 - 1.0 / 1000.0

Floats = NDArray[np.float64]


def core_size(max_lead: int) -> int:
    """Float64 values a row of `core` needs for windows of up to `max_lead` samples."""
    return PENDING + (max_lead + 1) * PENDING_SIZE


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def reset(core, profile):
    """Put one row in the state before its first sample."""
    core[:] = 0.0
    profile[:] = 0.0
    for i in range(FEATURES):
        core[COVARIANCE + i * FEATURES + i] = 10.0
    for i in range(SPREADS):
        core[SPREAD_COVARIANCE + i * SPREADS + i] = 10.0
    core[SPREAD_WEIGHTS] = 0.1


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _regress(weights, covariance, x, y, weight, size):
    """One step of weighted recursive least squares with forgetting (Haykin 2002, ch. 9)."""
    gain = np.empty(size)
    norm = FORGET / weight
    error = y
    for i in range(size):
        total = 0.0
        for k in range(size):
            total += covariance[i * size + k] * x[k]
        gain[i] = total
        norm += x[i] * total
        error -= weights[i] * x[i]
    for i in range(size):
        weights[i] += gain[i] / norm * error
    for i in range(size):
        for k in range(size):
            covariance[i * size + k] = (covariance[i * size + k] - gain[i] * gain[k] / norm) / FORGET
    # Directions that no sample excites would otherwise grow without bound under forgetting.
    for i in range(size):
        if covariance[i * size + i] > 1e4:
            shrink = math.sqrt(1e4 / covariance[i * size + i])
            for k in range(size):
                covariance[i * size + k] *= shrink
                covariance[k * size + i] *= shrink


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _around(table, start, size, cell, reach):
    """Mean and maximum of a circular table within `reach` cells of `cell`."""
    total = 0.0
    most = -1e300
    for k in range(-reach, reach + 1):
        value = table[start + (cell + k) % size]
        total += value
        most = max(most, value)
    return total / (2 * reach + 1), most


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _standard_quantile(core, level):
    """The quantile of the standardised errors, linear within a cell; NaN before any error."""
    total = 0.0
    for k in range(BINS):
        total += core[HISTOGRAM + k]
    if total <= 0.0:
        return math.nan
    wanted = level * total
    below = 0.0
    for k in range(BINS):
        mass = core[HISTOGRAM + k]
        if mass > 0.0 and below + mass >= wanted:
            return EDGES[k] + (EDGES[k + 1] - EDGES[k]) * (wanted - below) / mass
        below += mass
    return EDGES[BINS]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _pinball(value, quantile, level):
    gap = value - quantile
    return level * gap if gap >= 0.0 else (level - 1.0) * gap


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn(core, profile, pending, lead):
    """Learn from the forecast made `lead` samples ago, whose window has just been seen in full."""
    count = int(core[COUNT])
    peak = -1e300
    for k in range(lead):
        peak = max(peak, core[VALUES + (count - 1 - k) % RECENT])
    rise = (peak - pending[P_VALUE]) / pending[P_SCALE]
    centre = pending[P_CENTRE]
    spread = pending[P_SPREAD]
    z = (rise - centre) / spread
    cell = np.searchsorted(EDGES, z) - 1
    cell = min(max(cell, 0), BINS - 1)
    for k in range(BINS):
        core[HISTOGRAM + k] *= FORGET
    core[HISTOGRAM + cell] += 1.0 - FORGET
    # Huber weights: a spike moves the regression as much as a common error does.
    huber = 1.0 if abs(z) < 3.0 else 3.0 / abs(z)
    precision = huber * min(1.0 / (spread * spread), 100.0)
    features = pending[P_FEATURES : P_FEATURES + FEATURES]
    spreads = pending[P_SPREADS : P_SPREADS + SPREADS]
    _regress(core[WEIGHTS:COVARIANCE], core[COVARIANCE:SPREAD_WEIGHTS], features, rise, precision, FEATURES)
    error = min(abs(rise - centre), 10.0 * spread + 0.05)
    _regress(
        core[SPREAD_WEIGHTS:SPREAD_COVARIANCE],
        core[SPREAD_COVARIANCE:HISTOGRAM],
        spreads,
        error,
        precision,
        SPREADS,
    )
    tame = min(max(rise, -2.0), centre + 20.0 * spread)
    hour, day, week = int(pending[P_HOUR]), int(pending[P_DAY]), int(pending[P_WEEK])
    profile[RISE_HOUR + hour] += 0.08 * (tame - profile[RISE_HOUR + hour])
    profile[RISE_DAY + day] += 0.3 * (tame - profile[RISE_DAY + day])
    profile[RISE_WEEK + week] += 0.1 * (tame - profile[RISE_WEEK + week])
    profile[ERROR_HOUR + hour] += 0.08 * (error - profile[ERROR_HOUR + hour])
    profile[ERROR_DAY + day] += 0.3 * (error - profile[ERROR_DAY + day])
    if core[LEARNT] > 100.0 and not math.isnan(pending[P_MODEL]):
        model = _pinball(peak, pending[P_MODEL], SKILL_LEVEL) / pending[P_SCALE]
        naive = _pinball(peak, pending[P_NAIVE], SKILL_LEVEL) / pending[P_SCALE]
        core[MODEL_LOSS] += (1.0 - SKILL_FORGET) * (model - core[MODEL_LOSS])
        core[NAIVE_LOSS] += (1.0 - SKILL_FORGET) * (naive - core[NAIVE_LOSS])
    # The persistence forecast's own quantile of the rise, tracked by stochastic approximation.
    above = rise > core[NAIVE_SPREAD]
    step = 0.05 * (core[LONG_VOLATILITY] + 1e-6)
    core[NAIVE_SPREAD] += step * (SKILL_LEVEL if above else SKILL_LEVEL - 1.0)
    core[LEARNT] += 1.0


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _describe(core, profile, pending, value, time_ms):
    """Write the features of the present moment, and the centre and spread they give, into `pending`."""
    count = int(core[COUNT])  # of samples including this one
    scale = max(core[SCALE], 1e-9)
    newest = count - 1
    before = core[VALUES + (newest - 1) % RECENT] if newest >= 1 else value
    before2 = core[VALUES + (newest - 2) % RECENT] if newest >= 2 else before
    before4 = core[VALUES + (newest - 4) % RECENT] if newest >= 4 else before2
    high15 = high60 = low15 = value
    for k in range(1, min(60, count)):
        past = core[VALUES + (newest - k) % RECENT]
        high60 = max(high60, past)
        if k < 15:
            high15 = max(high15, past)
            low15 = min(low15, past)
    minute = int(time_ms // 60000)
    hour, day, week = minute % HOUR, minute % DAY, (minute // 5) % WEEK
    day_rise, day_most = _around(profile, RISE_DAY, DAY, day, 2)
    hour_error, _ = _around(profile, ERROR_HOUR, HOUR, hour, 1)
    day_error, _ = _around(profile, ERROR_DAY, DAY, day, 3)

    x = pending[P_FEATURES : P_FEATURES + FEATURES]
    x[0] = 1.0
    x[1] = (value - before) / scale
    x[2] = (before - before2) / scale
    x[3] = (before2 - before4) / scale
    x[4] = (value - core[FAST]) / scale
    x[5] = (core[FAST] - core[MIDDLE]) / scale
    x[6] = (high15 - value) / scale
    x[7] = (low15 - value) / scale
    x[8] = (high60 - value) / scale
    x[9] = profile[RISE_HOUR + hour]
    x[10] = day_rise
    x[11] = day_most
    x[12] = profile[RISE_WEEK + week]
    x[13] = value / scale
    x[14] = core[SHORT_VOLATILITY]
    s = pending[P_SPREADS : P_SPREADS + SPREADS]
    s[0] = 0.1
    s[1] = core[SHORT_VOLATILITY]
    s[2] = core[LONG_VOLATILITY]
    s[3] = hour_error
    s[4] = day_error
    s[5] = 0.3 * value / scale
    s[6] = (high15 - low15) / scale
    s[7] = abs(x[1])
    s[8] = abs(x[4])

    centre = 0.0
    for k in range(FEATURES):
        centre += core[WEIGHTS + k] * x[k]
    spread = 0.0
    for k in range(SPREADS):
        spread += core[SPREAD_WEIGHTS + k] * s[k]
    spread = max(spread, 0.1 * (core[LONG_VOLATILITY] + hour_error + 1e-4))
    # A peak beyond three times the last hour's reach is extrapolation, not evidence.
    centre = max(min(centre, 3.0 * ((high60 - value) / scale + 1.0)), -abs(value) / scale)
    if not math.isfinite(centre) or not math.isfinite(spread):
        centre, spread = 0.0, 0.1 * (core[LONG_VOLATILITY] + hour_error + 1e-4)
    pending[P_VALUE] = value
    pending[P_SCALE] = scale
    pending[P_CENTRE] = centre
    pending[P_SPREAD] = spread
    pending[P_HOUR] = hour
    pending[P_DAY] = day
    pending[P_WEEK] = week
    pending[P_MODEL] = value + scale * (centre + spread * _standard_quantile(core, SKILL_LEVEL))
    pending[P_NAIVE] = value + scale * core[NAIVE_SPREAD]


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _learn_cadence(core, gap_ms):
    """Move the cadence to the common gap: quickly down, slowly up, since samples go missing."""
    cadence = core[CADENCE_MS]
    if cadence <= 0.0:
        core[CADENCE_MS] = gap_ms
    elif gap_ms < cadence:
        core[CADENCE_MS] = max(gap_ms, 0.8 * cadence)
    else:
        core[CADENCE_MS] = cadence + 0.02 * (min(gap_ms, 2.0 * cadence) - cadence)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _observe(core, profile, value, time_ms, startup_ms, max_lead):
    if core[COUNT] > 0.0:
        gap = time_ms - core[LAST_MS]
        if gap <= 0.0:
            return
        _learn_cadence(core, gap)
        if not math.isfinite(value):
            return  # the gap to the next value tells that one is missing
        if gap > 1.6 * core[CADENCE_MS]:
            core[RUN] = 0.0
    elif not math.isfinite(value):
        return
    before = core[VALUES + int(core[COUNT] - 1) % RECENT] if core[COUNT] > 0.0 else value
    core[LAST_MS] = time_ms
    core[VALUES + int(core[COUNT]) % RECENT] = value
    core[COUNT] += 1.0
    core[RUN] += 1.0
    count = int(core[COUNT])

    if core[CADENCE_MS] > 0.0:
        exact = startup_ms / core[CADENCE_MS]
        # Within a tenth of a sample the old window stays, so jitter does not flip it back and forth.
        if core[LEAD] == 0.0 or abs(exact + 1.0 - core[LEAD]) > 1.1 or exact + 1.0 > core[LEAD] + 0.1:
            lead = min(float(max_lead), math.ceil(exact - 0.1) + 1.0)
            if lead != core[LEAD]:
                core[LEAD] = lead
                core[RUN] = 1.0
    lead = int(core[LEAD])
    if lead > 0 and core[RUN] > lead:
        slot = PENDING + ((count - 1 - lead) % (max_lead + 1)) * PENDING_SIZE
        if core[slot + P_INDEX] == count - lead:
            _learn(core, profile, core[slot : slot + PENDING_SIZE], lead)

    if count <= 180:
        core[SCALE] += (abs(value) - core[SCALE]) / count
    else:
        core[SCALE] += (abs(value) - core[SCALE]) / 180.0
    if count == 1:
        core[FAST] = core[MIDDLE] = value
    core[FAST] += 0.33 * (value - core[FAST])
    core[MIDDLE] += 0.065 * (value - core[MIDDLE])
    step = abs(value - before) / max(core[SCALE], 1e-9)
    core[SHORT_VOLATILITY] += 0.1 * (step - core[SHORT_VOLATILITY])
    core[LONG_VOLATILITY] += 0.02 * (step - core[LONG_VOLATILITY])

    slot = PENDING + ((count - 1) % (max_lead + 1)) * PENDING_SIZE
    _describe(core, profile, core[slot : slot + PENDING_SIZE], value, time_ms)
    core[slot + P_INDEX] = count


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def update(core, profile, rows, times_ms, values, startup_ms, max_lead):
    """Learn one sample per entry of `rows`, in order; a row may occur more than once."""
    for i in range(len(rows)):
        row = rows[i]
        _observe(core[row], profile[row], values[i], float(times_ms[i]), startup_ms, max_lead)


@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def quantiles(core, rows, levels, max_lead, out):
    """Write the peak's quantiles as of each row's last sample; NaN where nothing has been learnt."""
    for i in range(len(rows)):
        state = core[rows[i]]
        count = int(state[COUNT])
        if count == 0 or state[LEARNT] < 1.0:
            out[i, :] = math.nan
            continue
        slot = PENDING + ((count - 1) % (max_lead + 1)) * PENDING_SIZE
        for k in range(len(levels)):
            z = _standard_quantile(state, levels[k])
            out[i, k] = state[slot + P_VALUE] + state[slot + P_SCALE] * (
                state[slot + P_CENTRE] + state[slot + P_SPREAD] * z
            )
