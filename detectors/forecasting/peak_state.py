"""The state of the peak forecaster: one record per series, and the constants of its model."""

from typing import Any

import numpy as np

HEADS = 2  # what is forecast: the highest sample until a new replica serves, and the sample then
PEAK, AHEAD = 0, 1

FEATURES = 19  # regressors of the centre
SPREADS = 12  # regressors of the spread
CELLS = 96  # cells of a histogram of standardised errors
MOODS = 2  # histograms: calm, and within an hour's worth of samples of a surprise
RECENT = 64  # last values kept

# Tables by phase: minutes of the hour, minutes of the day, five-minute cells of the week.
HOUR, DAY, WEEK = 60, 1440, 2016

EDGES = np.sinh(np.linspace(-3.0, 5.5, CELLS + 1)) / 2.0  # fine near zero, wide in the tail

# Memories, in samples.
REGRESSION_FORGET = 1.0 - 1.0 / 5000.0
HISTOGRAM_FORGET = 1.0 - 1.0 / 6000.0
MOOD_FORGET = 1.0 - 1.0 / 3000.0
MOOD_PRIOR = 200.0  # samples' worth of the common histogram in each mood's own
SURPRISE, SURPRISE_SAMPLES = 5.0, 60
HUBER = 8.0
MOST_RISE = 10.0  # times the scale: a larger one is remembered only as far as it was within expectation

MOST_GAP = 2.0  # in units of the scale
SKILL_LEVEL = 0.9  # the quantile on which skill against persistence is judged
SKILL_FORGET = 1.0 - 1.0 / 1000.0
SKILL_FROM = 100  # windows learnt before losses are compared


def layout(max_lead: int) -> np.dtype[Any]:
    """A row's record for windows of up to `max_lead` samples; zero bytes are a fresh row."""
    slots = max_lead + 1
    return np.dtype(
        [
            ("count", "i8"),
            ("last_ms", "f8"),
            ("cadence_ms", "f8"),
            ("lead", "i8"),  # samples in the window
            ("run", "i8"),  # samples since the last gap
            ("learnt", "i8"),
            ("scale", "f8"),  # slow mean of the absolute value: the unit of everything below
            ("fast", "f8"),
            ("middle", "f8"),
            ("short_volatility", "f8"),
            ("long_volatility", "f8"),
            ("recent", "f8", (RECENT,)),
            ("weights", "f8", (HEADS, FEATURES)),
            ("covariance", "f8", (HEADS, FEATURES, FEATURES)),
            ("spread_weights", "f8", (HEADS, SPREADS)),
            ("spread_covariance", "f8", (HEADS, SPREADS, SPREADS)),
            ("common", "f8", (HEADS, CELLS)),
            ("by_mood", "f8", (HEADS, MOODS, CELLS)),
            ("surprised", "i8", (HEADS,)),  # count at the last surprise, 0 before any
            ("rise_hour", "f4", (HEADS, HOUR)),
            ("rise_day", "f4", (HEADS, DAY)),
            ("rise_week", "f4", (HEADS, WEEK)),
            ("day_before", "f4", (HEADS, DAY)),  # the rise at this minute yesterday
            ("week_before", "f4", (HEADS, WEEK)),  # the highest in this cell last week
            ("week_cell", "i8"),  # the cell last learnt
            ("error_hour", "f4", (HEADS, HOUR)),
            ("error_day", "f4", (HEADS, DAY)),
            ("model_loss", "f8"),
            ("naive_loss", "f8"),
            ("naive_rise", "f8"),  # persistence's own quantile of the rise
            # Forecasts whose window is not over, by count modulo slots.
            ("p_count", "i8", (slots,)),
            ("p_value", "f8", (slots,)),
            ("p_scale", "f8", (slots,)),
            ("p_phase", "i8", (slots, 3)),
            ("p_mood", "i8", (slots, HEADS)),
            ("p_centre", "f8", (slots, HEADS)),
            ("p_spread", "f8", (slots, HEADS)),
            ("p_features", "f8", (slots, HEADS, FEATURES)),
            ("p_spreads", "f8", (slots, HEADS, SPREADS)),
            ("p_model", "f8", (slots,)),
            ("p_naive", "f8", (slots,)),
        ]
    )
