"""The compiled pass over a batch: test each sample against its series' state, then learn it.

Everything compiled lives in this one file: Numba's cache on disk looks at the caller's file only, so a
callee elsewhere could change unnoticed.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from detectors.columnar import Batch, Columns, Table
from detectors.port import F64
from detectors.prefetch import prefetch_row
from detectors.tidegate.layout import HOURS, HOURS_OF_WEEK, MEDIAN, PATTERN_BITS, RECENT, SYMBOLS

WARM = 24  # samples before the first verdict
HOUR_MS = 3_600_000
DAY_MS = 86_400_000

AHEAD = 4  # samples whose state is fetched early
Row = Any  # a record of LAYOUT, by reference

# Deviations: from the slow level, from the last sample, from the level of the hour of day, and the
# logarithm of the ratio to the slow level, both above the lowest value seen.
DEVIATIONS = 4
SLOW_RATE = 0.03
SIZE_RATE = 0.01
SIZE_FLOOR = 0.007  # of the range seen: what is smaller never matters
JUMP_WEIGHT = 0.55
RATIO_WEIGHT = 0.9
RATIO_SIZE_FLOOR = 0.1
RATIO_OFFSET = 0.25  # sizes of the level's deviation added to both sides, so that small values do not matter
CLIP = 3.0  # sizes learn at most this multiple of themselves ...
CLIP_DOUBLES = 8.0  # ... doubled with every so many alarms in a row: a level shift becomes the new normal
HOUR_RATE = 0.1  # per hour's worth of samples
FIRST_SURPRISE = 50.0  # statistic of the first change of a constant series

# Calibration: the statistic's tail above a start that samples exceed about ten times per asked alarm.
TAIL_START, TAIL_MEAN, TAIL_SHARE, TAIL_SEEN = 2.6, 0.7, 0.1, 20.0
TAIL_RATIO = 10.0
TAIL_SAMPLES = 20.0
START_STEP = 0.2
MEAN_RATE = 0.025
LONGEST_EXCESS = 25.0
SHAPE_SEEN, LOWEST_SHAPE, HIGHEST_SHAPE = 8.0, -0.2, 0.3
EPISODE = 10.0  # samples that belong to one alarm
LONE = 0.3  # of an alarm's distance that the next sample keeps: less, and the alarm was a lone one
REPEAT_WEIGHT = 0.05  # of a sample within an episode, which says little of ordinary times
LASTING_WEIGHT = 0.1  # of an alarm that lasts, likewise
MUCH, MUCH_LONE = 6.0, 2.5  # times the asked rate: more alarms than that are what this series is like
RATE_CORRECTION = 0.8  # measured: without it normal series alarm 1.3 times as often as asked
LARGEST_SHARE = 0.1
FIRST_CORRECTION, LOWEST_CORRECTION, HIGHEST_CORRECTION = 0.3, -1.0, 3.0
CORRECTION_GAIN = 0.8  # per alarm, and per asked alarm that did not come
FAR_WEIGHT = 4.0  # how little an alarm counts that is far beyond the threshold
SOME_LONE = 2.0  # times the asked rate: so many lone alarms count in full

# Records: margins beyond everything seen, in mean absolute deviations.
RECORD_RATE = 0.005
RECORD_FLOOR = 0.02  # of the range
DRIFT_RATE = 1.0 / 12.0
VARIABILITY_RATE = 1.0 / 48.0
WEEK_RATE = 0.05
RECORD_WEIGHTS = (0.7, 0.5, 1.0, 0.4, 0.7, 0.7)
NOTABLE = 0.2  # weighted margin of score 0.5

# Patterns: means of 8 and 24 samples, quantised, 4 and 2 in a row; strength per decade of rarity.
SHORT, SHORT_LENGTH, SHORT_LEVELS, SHORT_WEIGHT = 8, 4, 12, 0.05
LONG, LONG_LENGTH, LONG_LEVELS, LONG_WEIGHT = RECENT, 2, 6, 0.065
SHORT_OFFSET, LONG_OFFSET = 0.79, 0.5  # of a level
FIRST_PATTERN = 20
NOVELTY_RATE = 0.01
FULL = 0.7  # of a dictionary's bits; beyond it a new pattern evicts an old one

REST = 120  # samples after a record in which only a REST_FACTOR times larger one speaks
REST_FACTOR = 3.0
DEVIATION_SCORE = 0.45  # the most that a deviation without record scores


@njit(cache=True, nogil=True, error_model="numpy")
def update(table: Table, batch: Batch, settings: F64, out: Columns) -> None:
    """Score and learn a batch; `settings[0]` is the asked alarms per series and day."""
    feature = np.zeros(6)
    residual = np.zeros(DEVIATIONS)
    statistic = np.zeros(DEVIATIONS)
    count = len(batch.rows)
    for i in range(count):
        if i + AHEAD < count:
            prefetch_row(table, batch.rows[i + AHEAD])
        if math.isnan(batch.values[i]):
            continue
        s = table[batch.rows[i]]
        _advance(s, batch.times[i], batch.values[i])
        value = np.float64(np.float32(batch.values[i] - s.origin))
        hour = (batch.times[i] // HOUR_MS) % HOURS
        hour_of_week = (batch.times[i] // HOUR_MS) % HOURS_OF_WEEK
        span = np.float64(s.high[0]) - s.low[0]
        _residuals(s, value, hour, hour_of_week, residual, feature)
        residual[3] = _ratio(s, value, span)
        strongest = _statistics(s, residual, span, statistic)
        share = min(LARGEST_SHARE, RATE_CORRECTION * settings[0] * s.cadence / DAY_MS)
        ratio = s.tail_share / max(share, 1e-12) * math.exp(s.correction)
        threshold = s.tail_start + _reach(s, max(ratio, 1.0))
        s.recent[s.count % RECENT] = value
        _quantise(s, span)
        record = _rest(s, _surprise(s, i, feature, out))

        alarm = False
        out.score[i] = 0.0
        if s.count >= WARM:
            alarm = strongest >= threshold
            out.learning[i] = False
            out.alarm[i] = alarm
            for c in range(DEVIATIONS):
                out.evidence[i, c] = statistic[c] / threshold
            ordinary = DEVIATION_SCORE * strongest / (strongest + threshold)
            out.score[i] = max(record / (record + NOTABLE), ordinary)
            _band(s, i, out, hour, threshold, span)
            _judge_last_alarm(s, value, threshold)
            if alarm and s.since_alarm >= EPISODE:
                _hold(s, value, residual, statistic)
            _calibrate(s, strongest, alarm, share)
        s.streak = min(s.streak + 1.0, 80.0) if alarm else _cool(s.streak)

        _learn_deviations(s, residual, span, hour)
        _learn_records(s, feature)
        _learn_week(s, value, hour_of_week)
        _order(s, value)
        s.last = value
        s.count += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(s: Row, time: int, value: float) -> None:
    """Begin a series at its first value, or learn its cadence."""
    if s.count == 0:
        s.origin = value
        s.tail_start, s.tail_mean, s.tail_share, s.tail_seen = TAIL_START, TAIL_MEAN, TAIL_SHARE, TAIL_SEEN
        s.tail_spread, s.tail_last = 0.5 * TAIL_MEAN, TAIL_MEAN
        s.correction = FIRST_CORRECTION
        s.since_alarm = EPISODE + 1.0
    elif time > s.last_time:
        gap = np.float64(time - s.last_time)
        if s.cadence == 0.0:
            s.cadence = gap
        s.cadence += max(-0.1 * s.cadence, min(0.1 * s.cadence, gap - s.cadence))
    s.last_time = time


@njit(cache=True, nogil=True, error_model="numpy")
def _residuals(s: Row, value: float, hour: int, hour_of_week: int, residual: F64, feature: F64) -> None:
    """Fill the deviations' residuals and the records' features; moves the two short averages."""
    if s.hour_count[hour] == 0:
        s.hour[hour] = s.slow
    residual[0] = value - s.slow
    residual[1] = value - s.last
    residual[2] = value - s.hour[hour]
    s.drift += DRIFT_RATE * (value - s.drift)
    s.variability += VARIABILITY_RATE * (abs(residual[1]) - s.variability)
    feature[0] = value
    feature[1] = value - s.ordered[min(s.count, MEDIAN) // 2] if s.count > 0 else 0.0  # from the median
    feature[2] = residual[2]
    feature[3] = value - _decode(s.week[hour_of_week]) if s.week[hour_of_week] != 0 else 0.0
    feature[4] = s.drift
    feature[5] = s.variability


@njit(cache=True, nogil=True, error_model="numpy")
def _statistics(s: Row, residual: F64, span: float, statistic: F64) -> float:
    """Residuals in units of their usual size; returns the largest."""
    for c in range(3):
        size = max(np.float64(s.deviation[c]), SIZE_FLOOR * span)
        if size > 0.0:
            statistic[c] = (JUMP_WEIGHT if c == 1 else 1.0) * abs(residual[c]) / size
        else:
            statistic[c] = FIRST_SURPRISE if residual[c] != 0.0 else 0.0
    statistic[3] = RATIO_WEIGHT * abs(residual[3]) / max(np.float64(s.deviation[3]), RATIO_SIZE_FLOOR)
    largest: float = max(statistic[0], statistic[1], statistic[2], statistic[3])
    return largest


@njit(cache=True, nogil=True, error_model="numpy")
def _ratio(s: Row, value: float, span: float) -> float:
    """Logarithm of the value's ratio to the slow level, both above the lowest value seen."""
    if span <= 0.0:
        return 0.0
    offset = _ratio_offset(s, span)
    above = max(value - s.low[0], 0.0) + offset
    return math.log(above / (max(np.float64(s.slow) - s.low[0], 0.0) + offset))


@njit(cache=True, nogil=True, error_model="numpy")
def _ratio_offset(s: Row, span: float) -> float:
    return RATIO_OFFSET * max(np.float64(s.deviation[0]), 1e-9 * span)


@njit(cache=True, nogil=True, error_model="numpy")
def _surprise(s: Row, i: int, feature: F64, out: Columns) -> float:
    """The strongest record or new pattern, 0 where there is none or the series is still young."""
    largest = 0.0
    warm = s.count >= WARM
    for c in range(6):
        strength = RECORD_WEIGHTS[c] * _margin(s, c, feature[c]) if warm else 0.0
        out.evidence[i, DEVIATIONS + c] = strength / (strength + NOTABLE)
        largest = max(largest, strength)
    for c in range(2):
        strength = _novelty(s, c) if s.count >= FIRST_PATTERN else 0.0
        strength = strength if warm else 0.0
        out.evidence[i, DEVIATIONS + 6 + c] = strength / (strength + NOTABLE)
        largest = max(largest, strength)
    return largest


@njit(cache=True, nogil=True, error_model="numpy")
def _order(s: Row, value: float) -> None:
    """Put the current value into the sorted window and take the oldest out."""
    size = min(s.count, MEDIAN)
    place = size
    if size == MEDIAN:
        oldest = s.recent[(s.count - MEDIAN) % RECENT]
        place = 0
        while place < MEDIAN - 1 and s.ordered[place] != oldest:
            place += 1
    while place > 0 and s.ordered[place - 1] > value:
        s.ordered[place] = s.ordered[place - 1]
        place -= 1
    while place + 1 < size and s.ordered[place + 1] < value:
        s.ordered[place] = s.ordered[place + 1]
        place += 1
    s.ordered[place] = value


@njit(cache=True, nogil=True, error_model="numpy")
def _margin(s: Row, c: int, value: float) -> float:
    """How far a feature lies beyond its past range, in mean absolute deviations; 0 within it."""
    value = np.float64(np.float32(value))
    beyond = value - s.high[c]
    if c != 5:  # variability only counts upwards
        beyond = max(beyond, s.low[c] - value)
    if beyond <= 0.0:
        return 0.0
    size = max(np.float64(s.scale[c]), RECORD_FLOOR * (np.float64(s.high[c]) - s.low[c]))
    return beyond / size if size > 0.0 else FIRST_SURPRISE


@njit(cache=True, nogil=True, error_model="numpy")
def _learn_records(s: Row, feature: F64) -> None:
    """Widen the ranges; the first sample has no difference yet, so ranges begin with the second."""
    if s.count == 0:
        return
    rate = max(1.0 / (s.count + 1.0), RECORD_RATE)
    for c in range(6):
        value = feature[c]
        if s.count == 1:
            s.high[c] = s.low[c] = s.mean[c] = value
        s.high[c] = max(s.high[c], np.float32(value))
        s.low[c] = min(s.low[c], np.float32(value))
        s.scale[c] += rate * (abs(value - s.mean[c]) - s.scale[c])
        s.mean[c] += rate * (value - s.mean[c])
        s.scale[c] = max(s.scale[c], 1e-6 * (s.high[c] - s.low[c]))  # keeps clear of denormals


@njit(cache=True, nogil=True, error_model="numpy")
def _quantise(s: Row, span: float) -> None:
    """The newest symbols: the short mean by its place in the range, the long one by deviations."""
    short = 0.0
    for back in range(SHORT):
        short += s.recent[(s.count - back) % RECENT]
    total = 0.0
    for k in range(RECENT):
        total += s.recent[k]
    at = s.count % SYMBOLS
    place = (short / SHORT - s.low[0]) / span * SHORT_LEVELS if span > 0.0 else 0.0
    s.symbols[0, at] = math.floor(max(-1.0, min(SHORT_LEVELS + 1.0, place)) + SHORT_OFFSET)
    place = (total / LONG - s.mean[0]) / s.scale[0] if s.scale[0] > 0.0 else 0.0
    s.symbols[1, at] = math.floor(max(-1.0 * LONG_LEVELS, min(1.0 * LONG_LEVELS, place)) + LONG_OFFSET)


@njit(cache=True, nogil=True, error_model="numpy")
def _novelty(s: Row, c: int) -> float:
    """Look the current pattern up in dictionary `c` and add it; decades of rarity where it is new."""
    stride = SHORT if c == 0 else LONG
    length = SHORT_LENGTH if c == 0 else LONG_LENGTH
    first = FIRST_PATTERN + stride * length
    if s.count < first:
        return 0.0
    key = np.uint64(1469598103934665603)
    for k in range(length):
        symbol = np.uint64(np.int64(s.symbols[c, (s.count - k * stride) % SYMBOLS]) + 64)
        key = (key ^ symbol) * np.uint64(1099511628211)  # FNV-1a (Fowler, Noll, Vo 1991)
    bit = np.int64((key ^ (key >> np.uint64(29))) % np.uint64(PATTERN_BITS))
    new = (s.seen[c, bit >> 3] >> (bit & 7)) & 1 == 0
    strength = 0.0
    if new:
        weight = SHORT_WEIGHT if c == 0 else LONG_WEIGHT
        strength = -weight * math.log10(s.novelty[c] + 1.0 / (s.count + 1.0))
        s.seen[c, bit >> 3] |= 1 << (bit & 7)
        s.filled[c] += 1
        if s.filled[c] > FULL * PATTERN_BITS:
            _evict(s, c, bit)
    rate = max(1.0 / (s.count - first + 1.0), NOVELTY_RATE)
    s.novelty[c] += rate * ((1.0 if new else 0.0) - s.novelty[c])
    return max(strength, 0.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _evict(s: Row, c: int, keep: Any) -> None:
    """Clear the next set bit of a dictionary, in turn."""
    at = np.int64(s.hand[c])
    while True:
        at = (at + 1) % PATTERN_BITS
        if at != keep and (s.seen[c, at >> 3] >> (at & 7)) & 1 == 1:
            break
    s.seen[c, at >> 3] &= ~(1 << (at & 7))
    s.hand[c] = at
    s.filled[c] -= 1


@njit(cache=True, nogil=True, error_model="numpy")
def _rest(s: Row, strength: float) -> float:
    """Silence what follows a record, unless it is much larger."""
    if s.rest_left > 0:
        s.rest_left -= 1
        if strength <= REST_FACTOR * s.rest_strength:
            return 0.0
    if strength > 0.0:
        s.rest_left = REST
        s.rest_strength = strength
    return strength


@njit(cache=True, nogil=True, error_model="numpy")
def _hold(s: Row, value: float, residual: F64, statistic: F64) -> None:
    """Keep what an alarm that begins an episode was, until the next sample."""
    s.since_alarm = -1.0
    s.alarm_excess += 1.0
    for c in range(DEVIATIONS):
        if statistic[c] > s.held:
            s.held = statistic[c]
            s.held_residual = residual[c] if c < 3 else residual[0]
    s.held_level = value - s.held_residual


@njit(cache=True, nogil=True, error_model="numpy")
def _judge_last_alarm(s: Row, value: float, threshold: float) -> None:
    """Learn the alarm before this sample, by what has become of it.

    A lone value far out is what heavy tails give; one that lasts is an event, and says little of ordinary
    times. So lone alarms count: towards the correction of the asked rate, and towards the tail.
    Unless alarms are so many that they are what this series is like, those far beyond the threshold count
    less, or an outage would raise it for long.
    """
    if s.held <= 0.0:
        return
    lasting = (value - s.held_level) / s.held_residual > LONE
    ordinary = LASTING_WEIGHT
    if not lasting:
        ordinary = 1.0 / (1.0 + FAR_WEIGHT * max(s.held / threshold - 1.0, 0.0))
    s.lone_excess += LASTING_WEIGHT if lasting else 1.0
    crowd = max(1.0, s.alarm_excess / MUCH, s.lone_excess / MUCH_LONE) ** 2
    counted = ordinary * max(min(1.0, (s.lone_excess / SOME_LONE) ** 2), crowd - 1.0)
    corrected = s.correction + CORRECTION_GAIN * min(1.0, counted)
    if s.correction < 0.0:  # too few alarms so far: any kind is one
        corrected = max(corrected, min(0.0, s.correction + CORRECTION_GAIN))
    s.correction = min(HIGHEST_CORRECTION, corrected)
    weight = REPEAT_WEIGHT
    if not lasting:
        weight = 1.0 / (1.0 + max(s.held - threshold, 0.0) / s.tail_mean)
    _learn_tail(s, s.held, min(1.0, max(REPEAT_WEIGHT, weight * crowd)), LONGEST_EXCESS * crowd)
    s.held = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _calibrate(s: Row, statistic: float, alarm: bool, share: float) -> None:
    """Move the tail of the statistic (peaks over threshold, Pickands 1975) and the correction.

    Its start follows a quantile by stochastic approximation (Robbins and Monro 1951), whose share
    falls as samples come in, until it is ten times the asked one. The correction is an integral control of
    the alarms given against those asked for (as in adaptive conformal inference, Gibbs and Candes 2021).
    """
    wanted = max(TAIL_RATIO * share, min(TAIL_SHARE, TAIL_SAMPLES / (s.count + 1.0)))
    if wanted < s.tail_share:
        move = _reach(s, s.tail_share / wanted)
        shape = _shape(s)
        growth = 1.0 + max(shape, 0.0) / (1.0 - shape) * move / s.tail_mean
        s.tail_start += move
        s.tail_mean *= growth
        s.tail_spread *= growth
    s.tail_share = wanted
    s.since_alarm += 1.0
    s.alarm_excess *= 1.0 - min(0.5, share)
    s.lone_excess *= 1.0 - min(0.5, share)
    s.correction = max(LOWEST_CORRECTION, s.correction - CORRECTION_GAIN * share)
    if not alarm:
        _learn_tail(s, statistic, 1.0, LONGEST_EXCESS)
    elif s.held == 0.0:
        _learn_tail(s, statistic, REPEAT_WEIGHT, LONGEST_EXCESS)


@njit(cache=True, nogil=True, error_model="numpy")
def _learn_tail(s: Row, statistic: float, weight: float, longest: float) -> None:
    """Move the tail by one statistic; its excess counts as at most `longest` mean excesses."""
    wanted = np.float64(s.tail_share)
    step = max(START_STEP, 1.0 / ((s.count - WARM + TAIL_SEEN + 1.0) * wanted)) * s.tail_mean
    excess = statistic - s.tail_start
    if excess > 0.0:
        s.tail_start += weight * step * (1.0 - wanted)
        s.tail_seen += weight
        excess = min(excess, longest * s.tail_mean)
        rate = weight * max(MEAN_RATE, 1.0 / s.tail_seen)
        s.tail_mean += rate * (excess - s.tail_mean)
        s.tail_spread += rate * (0.5 * abs(excess - s.tail_last) - s.tail_spread)
        s.tail_last = excess
    else:
        s.tail_start -= step * wanted
    s.tail_start = max(s.tail_start, 0.5)
    s.tail_mean = max(s.tail_mean, 0.1)


@njit(cache=True, nogil=True, error_model="numpy")
def _shape(s: Row) -> float:
    """Shape of the generalised Pareto tail by L-moments (Hosking 1990), drawn to 0 while few are seen."""
    seen = s.tail_seen - TAIL_SEEN
    shape = 2.0 - s.tail_mean / max(np.float64(s.tail_spread), 0.01)
    return max(LOWEST_SHAPE, min(HIGHEST_SHAPE, float(shape * seen / (seen + SHAPE_SEEN))))


@njit(cache=True, nogil=True, error_model="numpy")
def _reach(s: Row, ratio: float) -> float:
    """How far beyond the tail's start a share 1 / ratio of its excesses lies."""
    shape = _shape(s)
    if abs(shape) < 1e-3:
        return float(s.tail_mean * math.log(ratio))
    return float(s.tail_mean * (1.0 - shape) * (ratio**shape - 1.0) / shape)


@njit(cache=True, nogil=True, error_model="numpy")
def _cool(streak: float) -> float:
    """The streak after a sample without alarm."""
    return max(0.0, streak - 1.0) if streak < 4.0 else 0.7 * streak


@njit(cache=True, nogil=True, error_model="numpy")
def _learn_deviations(s: Row, residual: F64, span: float, hour: int) -> None:
    """Move levels and sizes, outliers clipped."""
    clip = CLIP
    if s.streak > 0.0:
        clip *= 2.0 ** (s.streak / CLIP_DOUBLES)
    hurry = 1.0 / (s.count + 1.0)
    for c in range(3):
        size = max(np.float64(s.deviation[c]), SIZE_FLOOR * span)
        seen = abs(residual[c])
        if s.count > 10 and size > 0.0:
            seen = min(seen, clip * size)
        s.deviation[c] += max(hurry, SIZE_RATE) * (seen - s.deviation[c])
    seen = abs(residual[3])
    if s.count > 10:
        seen = min(seen, clip * max(np.float64(s.deviation[3]), RATIO_SIZE_FLOOR))
    s.deviation[3] += max(hurry, SIZE_RATE) * (seen - s.deviation[3])
    move = residual[0]
    if s.count > 10 and s.deviation[0] > 0.0:
        move = max(-clip * s.deviation[0], min(clip * s.deviation[0], move))
    s.slow += max(hurry, SLOW_RATE) * move
    move = residual[2]
    if s.count > 30 and s.deviation[2] > 0.0:
        move = max(-clip * s.deviation[2], min(clip * s.deviation[2], move))
    if s.hour_count[hour] < 255:
        s.hour_count[hour] += 1
    samples = max(HOUR_MS / max(np.float64(s.cadence), 1.0), 1.0)
    s.hour[hour] += max(1.0 / s.hour_count[hour], HOUR_RATE / samples) * move


@njit(cache=True, nogil=True, error_model="numpy")
def _learn_week(s: Row, value: float, hour_of_week: int) -> None:
    """Move the level of this hour of the week: a plain mean over the first weeks, then a slow average."""
    level = value
    if s.week[hour_of_week] != 0:
        level = _decode(s.week[hour_of_week])
        level += max(WEEK_RATE, min(0.5, HOURS_OF_WEEK / (s.count + 1.0))) * (value - level)
    s.week[hour_of_week] = _encode(level)


@njit(cache=True, nogil=True, error_model="numpy")
def _band(s: Row, i: int, out: Columns, hour: int, threshold: float, span: float) -> None:
    """The expected value, of the best of the three levels, and the band outside of which is alarm."""
    lower, upper = -np.inf, np.inf
    best = np.inf
    expected = 0.0
    for c in range(3):
        level = np.float64(s.slow if c == 0 else (s.last if c == 1 else s.hour[hour]))
        size = max(np.float64(s.deviation[c]), SIZE_FLOOR * span)
        reach = threshold * size / (JUMP_WEIGHT if c == 1 else 1.0)
        lower = max(lower, level - reach)
        upper = min(upper, level + reach)
        if s.deviation[c] < best:
            best = s.deviation[c]
            expected = level
    if span > 0.0:
        offset = _ratio_offset(s, span)
        level = max(np.float64(s.slow) - s.low[0], 0.0) + offset
        reach = threshold * max(np.float64(s.deviation[3]), RATIO_SIZE_FLOOR) / RATIO_WEIGHT
        upper = min(upper, s.low[0] - offset + level * math.exp(min(reach, 300.0)))
        if level * math.exp(-reach) > offset:  # else no value is low enough
            lower = max(lower, s.low[0] - offset + level * math.exp(-reach))
    if lower > upper:  # the levels disagree, any value is an alarm: show the middle
        lower = upper = 0.5 * (lower + upper)
    out.expected[i] = s.origin + max(lower, min(upper, expected))
    out.lower[i] = s.origin + lower
    out.upper[i] = s.origin + upper


@njit(cache=True, nogil=True, error_model="numpy")
def _encode(value: float) -> Any:
    """The upper half of a float32, rounded (bfloat16); never 0, which means unseen."""
    bits = np.float32(value).view(np.uint32) + np.uint32(0x8000)
    return max(np.uint16(bits >> np.uint32(16)), np.uint16(1))


@njit(cache=True, nogil=True, error_model="numpy")
def _decode(half: int) -> Any:
    return np.float64(np.uint32(np.uint32(half) << np.uint32(16)).view(np.float32))
