"""The state of one series: a record of fixed size; all bytes zero is a series that was never seen."""

import numpy as np

DEVIATIONS = ("level", "jump", "season", "ratio")
RECORDS = (
    "record-level",
    "record-residual",
    "record-season",
    "record-week",
    "record-drift",
    "record-variability",
)
PATTERNS = ("pattern-short", "pattern-long")
EVIDENCE = DEVIATIONS + RECORDS + PATTERNS

RECENT = 24  # samples kept as they came
MEDIAN = 16  # samples of the rolling median
SYMBOLS = 32  # quantised means kept, a power of two
PATTERN_BITS = 1024
HOURS = 24
HOURS_OF_WEEK = 168

# Values are kept relative to `origin` in single precision, so that a large offset costs no accuracy.
LAYOUT = np.dtype(
    [
        ("origin", "f8"),  # the first value
        ("last_time", "i8"),  # ms
        ("count", "i8"),  # samples learnt
        ("cadence", "f4"),  # typical distance of samples, ms
        ("last", "f4"),
        ("slow", "f4"),  # level, by a slow average
        ("drift", "f4"),  # mean of about the last dozen samples
        ("variability", "f4"),  # mean absolute difference of about the last 48 samples
        # calibration: the deviation statistic's tail, see `_calibrate` in the kernel
        ("tail_share", "f4"),  # share of samples above tail_start
        ("tail_start", "f4"),
        ("tail_mean", "f4"),  # mean excess over tail_start
        ("tail_spread", "f4"),  # half the mean difference of two excesses in a row (second L-moment)
        ("tail_last", "f4"),  # the newest excess
        ("tail_seen", "f4"),  # excesses learnt
        ("correction", "f4"),  # log of what the asked rate is divided by, from the alarms given
        # the alarm whose nature the next sample tells
        ("held", "f4"),  # its statistic, 0 where there is none
        ("held_level", "f4"),  # what was expected
        ("held_residual", "f4"),  # how far it was from that
        # alarms of about the last interval of one asked alarm, as a multiple of it
        ("alarm_excess", "f4"),
        ("lone_excess", "f4"),  # those gone at the next sample
        ("streak", "f4"),  # alarms in a row
        ("since_alarm", "f4"),  # samples since an alarm was last counted
        # rest: after a record, smaller ones are silent
        ("rest_left", "i4"),
        ("rest_strength", "f4"),
        ("deviation", "f4", (4,)),  # typical size of each deviation
        ("high", "f4", (6,)),  # of each record: highest, lowest, mean, mean absolute deviation
        ("low", "f4", (6,)),
        ("mean", "f4", (6,)),
        ("scale", "f4", (6,)),
        ("novelty", "f4", (2,)),  # share of new patterns, of each dictionary
        ("filled", "i2", (2,)),  # bits set
        ("hand", "i2", (2,)),  # the bit evicted last
        ("recent", "f4", (RECENT,)),  # ring
        ("ordered", "f4", (MEDIAN,)),  # the newest MEDIAN of them, sorted
        ("symbols", "i1", (2, SYMBOLS)),  # rings
        ("hour_count", "u1", (HOURS,)),
        ("hour", "f4", (HOURS,)),  # level by hour of day
        ("week", "u2", (HOURS_OF_WEEK,)),  # level by hour of week, bfloat16, 0 where never seen
        ("seen", "u1", (2, PATTERN_BITS // 8)),  # the two dictionaries
    ],
    align=True,
)
