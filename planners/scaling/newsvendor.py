"""Replicas from the cost of being wrong: the newsvendor rule on the forecast of the peak."""

import math

from planners.scaling.limits import is_replay, settle
from planners.scaling.reactive import follow_load
from planners.scaling.tail import PeakTail
from planners.scaling.values import Decision, LoadForecast, Observation, ScalePolicy, ScaleState

ABSURD = 1e6  # a median peak beyond this many times the load is a broken forecast
LATE_INTERVALS = 2.0


def newsvendor(
    policy: ScalePolicy, state: ScaleState, observation: Observation, forecast: LoadForecast | None = None
) -> tuple[Decision, ScaleState]:
    """The cheapest count, in expectation, for the start-up time.

    Let X be the peak of the load within the start-up time, in replicas. Without `breach_penalty` the
    count is the quantile penalty / (penalty + price) of X (Arrow, Harris and Marschak 1951); a breach
    penalty adds a fixed charge, and the count minimises

        price * n + penalty * E[(X - n)+] + breach_penalty * P(X > n),   n no less than that quantile.

    Falls back to the reactive rule, and says so, where the forecast is missing, not finite, late,
    absurd, without history, or has lately been worse than persistence.
    """
    if is_replay(state, observation):
        assert state.last is not None  # noqa: S101
        return state.last, state
    doubt = _doubt(policy, observation, forecast)
    if doubt is not None or forecast is None:
        return follow_load(policy, state, observation, why=(f"reactive rule: {doubt}",))
    tail = PeakTail.of(forecast, policy.capacity)
    critical = policy.penalty / (policy.penalty + policy.price)
    base = min(tail.at(critical), 1e9)
    wanted = cheapest(policy, tail, math.ceil(max(base, 0.0) - 1e-9))
    served = 1.0 - tail.beyond(wanted)
    median = tail.at(0.5) * policy.capacity
    reasons = (
        f"load {observation.load:.6g}; its peak within {policy.startup_s:g} s has median {median:.6g}",
        f"{wanted} of {policy.capacity:.6g} each serve it with probability {served:.4f}; "
        f"price {policy.price:g}, penalty {policy.penalty:g}, per breach-hour {policy.breach_penalty:g}",
    )
    return settle(policy, state, observation, wanted, rule="newsvendor", reasons=reasons, quantile=served)


def cheapest(policy: ScalePolicy, tail: PeakTail, base: int) -> int:
    """The count of least expected cost, among `base` and above."""
    if policy.breach_penalty == 0.0:
        return base
    best = count = base
    beyond = tail.beyond(count)
    saved = most_saved = 0.0  # against `base`
    # Once the price of one more exceeds all that breaches can still cost, no higher count can win.
    while count <= policy.max_replicas and policy.breach_penalty * beyond > policy.price * 1e-3:
        after = tail.beyond(count + 1)
        # The load that replica count + 1 serves in expectation, for an exponential piece of the tail.
        served = (beyond - after) / math.log(beyond / after) if 0.0 < after < beyond else beyond
        saved += policy.penalty * served + policy.breach_penalty * (beyond - after) - policy.price
        count, beyond = count + 1, after
        if saved > most_saved + 1e-12:
            best, most_saved = count, saved
        if most_saved - saved > (policy.breach_penalty + policy.penalty) * beyond:
            break
    return best


def _doubt(policy: ScalePolicy, observation: Observation, forecast: LoadForecast | None) -> str | None:
    """Why the forecast is not to be used, in words; None where it is."""
    if forecast is None:
        return "no forecast yet"
    if not all(math.isfinite(peak) for peak in forecast.peaks) or not forecast.peaks:
        return "the forecast is not a number"
    if not math.isfinite(observation.load):
        return "the load is not known"
    age_s = (observation.ts - forecast.ts) / 1000.0
    if age_s > LATE_INTERVALS * policy.startup_s + 60.0 or age_s < 0.0:
        return f"the forecast is {age_s:g} s old"
    if any(later < earlier for earlier, later in zip(forecast.peaks, forecast.peaks[1:], strict=False)):
        return "the forecast's quantiles do not ascend"
    if forecast.peaks[0] > ABSURD * max(abs(observation.load), policy.capacity):
        return f"the forecast of {forecast.peaks[0]:.3g} is absurd beside a load of {observation.load:.3g}"
    if forecast.skill is None:
        return "too little history"
    if forecast.skill < 0.0:
        return f"forecasts have lately been worse than persistence (skill {forecast.skill:.2f})"
    return None
