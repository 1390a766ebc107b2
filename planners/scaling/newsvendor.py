"""Replicas from the cost of being wrong: the newsvendor rule on the forecast of the load."""

import math

import msgspec

from planners.scaling.doubt import doubt
from planners.scaling.limits import current_replicas, demand, is_replay, settle
from planners.scaling.reactive import follow_load
from planners.scaling.shadow import advance, breach_worth, first_shadow
from planners.scaling.tail import Tail
from planners.scaling.values import Decision, LoadForecast, Observation, ScalePolicy, ScaleState


def newsvendor(
    policy: ScalePolicy, state: ScaleState, observation: Observation, forecast: LoadForecast | None = None
) -> tuple[Decision, ScaleState]:
    """The count of least expected cost for the start-up time.

    Let X be the load in replicas. Without a worth of breaches the count is the quantile
    penalty / (penalty + price) of X (Arrow, Harris and Marschak 1951); a breach adds a fixed charge, and
    the count minimises, no lower than that quantile,

        price * n + penalty * E[(X - n)+] + breach * P(X > n).

    A replica asked for now cannot serve before the start-up time is over, so the count asked for is that
    of the load then; of the replicas there are, as many are kept as the peak until then needs. The count
    is never below what the present load needs.

    Falls back to the reactive rule, and says so, where the forecast is missing, not finite, late,
    absurd, without history, or has lately been worse than persistence.
    """
    if is_replay(state, observation):
        assert state.last is not None  # noqa: S101
        return state.last, state
    state = _with_shadow(policy, state, observation)
    why = doubt(policy, observation, forecast)
    if why is not None or forecast is None:
        return follow_load(policy, state, observation, why=(f"reactive rule: {why}",))
    if policy.breach_penalty is not None:
        breach = policy.breach_penalty
    else:
        breach = breach_worth(policy, state.shadow) if state.shadow is not None else 0.0
    waiting = demand(policy, observation) - observation.load
    peak = Tail.of(forecast.levels, forecast.peaks, waiting, policy.capacity)
    ahead = Tail.of(forecast.levels, forecast.ahead, waiting, policy.capacity) if forecast.ahead else peak
    previous = current_replicas(policy, state, observation)
    asked = cheapest(policy, ahead, breach)
    kept = min(cheapest(policy, peak, breach), previous)
    # A load that is here may stay, however surely the forecast has it gone: a step looks like a spike.
    present = math.ceil(min(max(demand(policy, observation), 0.0) / policy.capacity, 1e9) - 1e-9)
    wanted = max(asked, kept, present)
    served = 1.0 - ahead.beyond(wanted)
    then = f"in {policy.startup_s:g} s"
    reasons = [
        f"load {observation.load:.6g}; {then} median {ahead.at(0.5) * policy.capacity:.6g}, "
        f"0.99 quantile {ahead.at(0.99) * policy.capacity:.6g}",
        f"{wanted} of {policy.capacity:.6g} each serve it with probability {served:.4f} at price "
        f"{policy.price:g}, penalty {policy.penalty:g}, {breach:.3g} per breach-hour",
    ]
    if waiting > 0.0:
        reasons.append(f"backlog of {observation.backlog:.6g} adds {waiting:.6g} to be drained in time")
    if max(kept, present) > asked:
        why = "kept for the peak before" if kept >= present else "asked for by the load now"
        reasons.append(f"{asked} would do then; {wanted} are {why}")
    return settle(
        policy, state, observation, wanted, rule="newsvendor", reasons=tuple(reasons), quantile=served
    )


def cheapest(policy: ScalePolicy, tail: Tail, breach: float) -> int:
    """The count of least expected cost that is no less than the critical quantile."""
    critical = policy.penalty / (policy.penalty + policy.price)
    best = count = math.ceil(min(tail.at(critical), 1e9) - 1e-9)
    if breach <= 0.0:
        return best
    beyond = tail.beyond(count)
    saved = most_saved = 0.0  # against the first count
    while count <= policy.max_replicas and breach * beyond > policy.price * 1e-3:
        after = tail.beyond(count + 1)
        # The load that replica count + 1 serves in expectation, where the tail is exponential.
        served = (beyond - after) / math.log(beyond / after) if 0.0 < after < beyond else beyond
        saved += policy.penalty * served + breach * (beyond - after) - policy.price
        count, beyond = count + 1, after
        if saved > most_saved + 1e-12:
            best, most_saved = count, saved
        # Once a count lags by more than all that breaches can still cost, no higher one can win.
        if most_saved - saved > (breach + policy.penalty) * beyond:
            break
    return best


def _with_shadow(policy: ScalePolicy, state: ScaleState, observation: Observation) -> ScaleState:
    """The state with the reactive fleet brought up to the observation, where breaches are valued by it."""
    if policy.breach_penalty is not None or not math.isfinite(observation.load):
        return state
    if state.shadow is None:
        shadow = first_shadow(policy, observation.ts, max(demand(policy, observation), 0.0))
    else:
        shadow = advance(policy, state.shadow, observation.ts, demand(policy, observation))
    return msgspec.structs.replace(state, shadow=shadow)
