"""When a forecast is not to be trusted, and why, in words."""

import math
from itertools import pairwise

from planners.scaling.values import LoadForecast, Observation, ScalePolicy

ABSURD = 1e6  # times the load or one replica's capacity
LATE_STARTUPS = 2.0
LATE_S = 60.0
LEAST_SKILL = -0.1  # persistence is calibrated too, so a tie is no reason to give up the forecast


def doubt(policy: ScalePolicy, observation: Observation, forecast: LoadForecast | None) -> str | None:
    """Why the forecast is not to be used; None where it is."""
    if forecast is None:
        return "no forecast yet"
    if not math.isfinite(observation.load):
        return "the load is not known"
    return _broken(forecast, observation, policy) or _unfit(forecast, observation, policy)


def _unfit(forecast: LoadForecast, observation: Observation, policy: ScalePolicy) -> str | None:
    age_s = (observation.ts - forecast.ts) / 1000.0
    if age_s < 0.0 or age_s > LATE_STARTUPS * policy.startup_s + LATE_S:
        return f"the forecast is {age_s:g} s old"
    if forecast.skill is None:
        return "too little history"
    if forecast.skill < LEAST_SKILL:
        return f"forecasts have lately been worse than persistence (skill {forecast.skill:.2f})"
    return None


def _broken(forecast: LoadForecast, observation: Observation, policy: ScalePolicy) -> str | None:
    for quantiles in (forecast.peaks, forecast.ahead or forecast.peaks):
        if len(quantiles) != len(forecast.levels) or not quantiles:
            return f"the forecast has {len(quantiles)} quantiles for {len(forecast.levels)} levels"
        if not all(math.isfinite(value) for value in quantiles):
            return "the forecast is not a number"
        if any(later < earlier for earlier, later in pairwise(quantiles)):
            return "the forecast's quantiles do not ascend"
        if quantiles[0] > ABSURD * max(abs(observation.load), policy.capacity):
            return f"a forecast of {quantiles[0]:.3g} is absurd beside a load of {observation.load:.3g}"
    return None
