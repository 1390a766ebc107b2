"""The state of the seasonal forecaster: one record per series, and the constants of its models."""

from typing import Any

import numpy as np

DAY_MS = 86_400_000.0
HORIZONS = 14  # learnt: the cadence times powers of two, up to a day
SLOTS = 13  # forecasts under way per horizon; a longer horizon is tried now and then
PACE = 12

# Models of the centre; more may follow from outside, the ensemble is the last.
PERSISTENCE, NAIVE, WEEKLY, REGRESSION, CYCLE = 0, 1, 2, 3, 4
NATIVE = 5
FEATURES = 11  # of the regression
SPREADS = 5  # regressors of the spread
CELLS = 64  # of the histogram of standardised errors
EDGES = np.sinh(np.linspace(-4.5, 4.5, CELLS + 1)) / 2.5
PRIOR = np.diff(1.0 / (1.0 + np.exp(-EDGES / 0.7)))  # logistic errors of mean size one

RING = 2048  # last values, among which the load's own period is looked for

# Tables by phase. Two samples a cell or more at a cadence of a minute, so that noise averages out.
HOUR_CELLS, DAY_CELLS, WEEK_CELLS, ERROR_CELLS = 60, 288, 672, 24
HOUR_MS, WEEK_MS = 3_600_000.0, 7 * DAY_MS

# Memories in days of tries, within bounds in tries.
REGRESSION_DAYS, SPREAD_DAYS, HISTOGRAM_DAYS, LOSS_DAYS = 10.0, 3.0, 3.0, 7.0
LEAST_MEMORY, MOST_MEMORY = 40.0, 3000.0
PRIOR_ERRORS = 20.0  # tries' worth of logistic errors in each histogram
HUBER = 4.0
MOST_RISE = 20.0  # of a model from outside, in units of scale
LEVELS = np.array([0.5, 0.9, 0.99])  # on which models are compared and coverage is held
TILT_STEP = 0.2
FARTHEST_LEVEL = 0.9995
SHARPNESS = 6.0  # power of the inverse loss in the ensemble's weights


def layout(models: int) -> np.dtype[Any]:
    """A row's record for that many models, the ensemble included; zero bytes are a fresh row."""
    return np.dtype(
        [
            ("count", "i8"),
            ("last_ms", "f8"),
            ("cadence_ms", "f8"),
            ("value", "f8"),
            ("lowest", "f8"),
            ("scale", "f8"),  # slow mean of the absolute value: the unit of the regressions
            ("fast", "f8"),
            ("middle", "f8"),
            ("slow", "f8"),
            ("trend", "f8"),  # of the slow level, per ms
            ("short_volatility", "f8"),
            ("long_volatility", "f8"),
            ("hour", "f4", (HOUR_CELLS,)),  # deviation from the middle level by minute of the hour
            ("day", "f4", (DAY_CELLS,)),  # mean of the last days
            ("yesterday", "f4", (DAY_CELLS,)),
            ("week", "f4", (WEEK_CELLS,)),
            ("day_seen", "u1", (DAY_CELLS,)),
            ("week_seen", "u1", (WEEK_CELLS,)),
            ("ring", "f4", (RING,)),
            ("ring_count", "i8"),
            ("period", "f8"),  # in samples; 0: none found
            ("error_day", "f4", (HORIZONS, ERROR_CELLS)),
            ("weights", "f8", (HORIZONS, FEATURES)),
            ("covariance", "f8", (HORIZONS, FEATURES, FEATURES)),
            ("spread_weights", "f8", (HORIZONS, models, SPREADS)),
            ("spread_covariance", "f8", (HORIZONS, models, SPREADS, SPREADS)),
            ("histogram", "f4", (HORIZONS, models, CELLS)),
            ("loss", "f8", (HORIZONS, models)),
            ("tilt", "f8", (HORIZONS, len(LEVELS))),  # added to the levels asked of the ensemble
            ("tried", "i8", (HORIZONS, models)),
            # Forecasts under way.
            ("p_due_ms", "f8", (HORIZONS, SLOTS)),  # 0: none
            ("p_value", "f8", (HORIZONS, SLOTS)),
            ("p_scale", "f8", (HORIZONS, SLOTS)),
            ("p_features", "f8", (HORIZONS, SLOTS, FEATURES)),
            ("p_spreads", "f8", (HORIZONS, SLOTS, SPREADS)),
            ("p_centre", "f8", (HORIZONS, SLOTS, models)),
            ("p_quantiles", "f8", (HORIZONS, SLOTS, len(LEVELS))),
            ("p_spread", "f8", (HORIZONS, SLOTS, models)),
        ]
    )
