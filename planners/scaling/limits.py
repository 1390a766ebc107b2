"""From what a rule wants to what may be asked for: tolerance, stabilisation, steps, budget, bounds."""

import math

import msgspec

from planners.scaling.values import Decision, Observation, ScalePolicy, ScaleState


def settle(
    policy: ScalePolicy,
    state: ScaleState,
    observation: Observation,
    wanted: int,
    *,
    rule: str,
    reasons: tuple[str, ...],
    quantile: float | None = None,
    stabilisation_s: float | None = None,
    tolerance: float | None = None,
) -> tuple[Decision, ScaleState]:
    """Apply the policy's limits to `wanted`, and remember the decision.

    Order: tolerance, stabilisation, steps, budget, bounds. Bounds come last and hold even where the
    known count lies outside them; a step never exceeds its limit except to get back inside. The count
    that is stepped from is the observed one where it is known, else the last decision's.
    """
    tolerance = policy.tolerance if tolerance is None else tolerance
    stabilisation_s = policy.stabilisation_s if stabilisation_s is None else stabilisation_s
    previous = current_replicas(policy, state, observation)
    words = list(reasons)
    limited: list[str] = []

    goal = wanted
    if 0 < previous - goal <= tolerance * previous:
        words.append(f"{goal} is within {tolerance:.0%} below {previous}: kept")
        limited.append("tolerance")
        goal = previous
    oldest = observation.ts - stabilisation_s * 1000.0
    # Only recommendations that a later one does not exceed can still hold the count up.
    recent = [entry for entry in state.recent if entry[0] >= oldest and entry[1] > goal]
    held = min(previous, recent[0][1]) if recent and goal < previous else goal
    recent.append((observation.ts, goal))
    if held > goal:
        words.append(f"kept at {held} for {stabilisation_s:g} s after it was recommended")
        limited.append("stabilisation")
        goal = held

    if policy.max_step_up is not None and goal > previous + policy.max_step_up:
        goal = previous + policy.max_step_up
        words.append(f"at most {policy.max_step_up} more at once")
        limited.append("step-up")
    if policy.max_step_down is not None and goal < previous - policy.max_step_down:
        goal = previous - policy.max_step_down
        words.append(f"at most {policy.max_step_down} fewer at once")
        limited.append("step-down")
    if policy.budget_per_hour is not None:
        affordable = math.floor(policy.budget_per_hour / policy.price + 1e-9)
        if goal > affordable:
            goal = affordable
            words.append(f"the budget of {policy.budget_per_hour:g} an hour pays for {affordable}")
            limited.append("budget")
    if goal > policy.max_replicas:
        goal = policy.max_replicas
        words.append(f"at most {policy.max_replicas}")
        limited.append("max")
    if goal < policy.min_replicas:
        goal = policy.min_replicas
        words.append(f"at least {policy.min_replicas}")
        limited.append("min")

    decision = Decision(
        ts=observation.ts,
        replicas=goal,
        previous=previous,
        changed=goal != previous,
        wanted=wanted,
        rule=rule,
        reasons=tuple(words),
        limited_by=tuple(limited),
        quantile=quantile,
    )
    return decision, msgspec.structs.replace(state, last=decision, recent=tuple(recent))


def current_replicas(policy: ScalePolicy, state: ScaleState, observation: Observation) -> int:
    """The count to change from: observed, else last decided, else the minimum."""
    if observation.replicas is not None:
        return observation.replicas
    return state.last.replicas if state.last is not None else policy.min_replicas


def is_replay(state: ScaleState, observation: Observation) -> bool:
    """Whether the observation is not newer than the last one decided on."""
    return state.last is not None and observation.ts <= state.last.ts
