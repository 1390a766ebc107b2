"""From what a rule wants to what may be asked for: tolerance, stabilisation, steps, budget, bounds."""

import math
from dataclasses import dataclass, field

import msgspec

from planners.scaling.schedule import scheduled_minimum
from planners.scaling.values import Decision, Observation, ScalePolicy, ScaleState


@dataclass(slots=True)
class _Goal:
    """A count on its way through the limits, with the words for those that changed it."""

    count: int
    reasons: list[str]
    limited_by: list[str] = field(default_factory=list)

    def move(self, count: int, limit: str, reason: str) -> None:
        self.count = count
        self.limited_by.append(limit)
        self.reasons.append(reason)


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

    Order: tolerance, stabilisation, idling, schedules, steps, budget, bounds. Bounds come last and
    hold even where the known count lies outside them; a step exceeds its limit only to get back
    inside. The count that is stepped from is the observed one where it is known, else the last one
    decided on. `stabilisation_s` and `tolerance` stand in for the policy's.
    """
    previous = current_replicas(policy, state, observation)
    goal = _Goal(wanted, list(reasons))
    _tolerate(goal, previous, policy.tolerance if tolerance is None else tolerance)
    seconds = policy.stabilisation_s if stabilisation_s is None else stabilisation_s
    recent = _stabilise(goal, state, observation.ts, previous, seconds)
    active_ms = _idle(goal, policy, state, observation)
    _schedule(goal, policy, observation.ts)
    _step(goal, policy, previous)
    _bound(goal, policy)
    decision = Decision(
        ts=observation.ts,
        replicas=goal.count,
        previous=previous,
        changed=goal.count != previous,
        wanted=wanted,
        rule=rule,
        reasons=tuple(goal.reasons),
        limited_by=tuple(goal.limited_by),
        quantile=quantile,
    )
    return decision, msgspec.structs.replace(state, last=decision, recent=recent, active_ms=active_ms)


def current_replicas(policy: ScalePolicy, state: ScaleState, observation: Observation) -> int:
    """The count to change from: observed, else last decided, else the minimum."""
    if observation.replicas is not None:
        return observation.replicas
    return state.last.replicas if state.last is not None else policy.min_replicas


def is_replay(state: ScaleState, observation: Observation) -> bool:
    """Whether the observation is not newer than the last one decided on."""
    return state.last is not None and observation.ts <= state.last.ts


def demand(policy: ScalePolicy, observation: Observation) -> float:
    """The load to be served: what arrives, and the backlog where it is to be drained in time."""
    if policy.drain_s is None or not math.isfinite(observation.backlog):
        return observation.load
    return observation.load + max(observation.backlog, 0.0) / policy.drain_s


def _tolerate(goal: _Goal, previous: int, tolerance: float) -> None:
    if 0 < previous - goal.count <= tolerance * previous:
        goal.move(previous, "tolerance", f"{goal.count} is within {tolerance:.0%} below {previous}: kept")


def _stabilise(
    goal: _Goal, state: ScaleState, ts: int, previous: int, seconds: float
) -> tuple[tuple[int, int], ...]:
    """Keep the highest recommendation of the last seconds; the recommendations that still count."""
    oldest = ts - seconds * 1000.0
    # One that a later one reaches can no longer hold the count up.
    recent = tuple(entry for entry in state.recent if entry[0] >= oldest and entry[1] > goal.count)
    recommended = goal.count
    if recent and goal.count < previous:
        held = min(previous, recent[0][1])
        goal.move(held, "stabilisation", f"kept at {held} for {seconds:g} s after it was recommended")
    return (*recent, (ts, recommended))


def _idle(goal: _Goal, policy: ScalePolicy, state: ScaleState, observation: Observation) -> int:
    """Keep one replica until there has been no load for a while; when there last was some."""
    nothing = observation.load <= 0.0 and observation.backlog <= 0.0  # a load not known may be one
    active_ms = state.active_ms if nothing and state.active_ms is not None else observation.ts
    if policy.min_replicas == 0 and goal.count <= 0 and observation.ts - active_ms < policy.idle_s * 1000.0:
        goal.move(1, "idle", f"the last one stays until there has been no load for {policy.idle_s:g} s")
    return active_ms


def _schedule(goal: _Goal, policy: ScalePolicy, ts: int) -> None:
    scheduled = scheduled_minimum(policy.schedules, ts, policy.startup_s)
    if goal.count < scheduled:
        goal.move(scheduled, "schedule", f"scheduled: at least {scheduled}")


def _step(goal: _Goal, policy: ScalePolicy, previous: int) -> None:
    up, down = policy.max_step_up, policy.max_step_down
    if up is not None and goal.count > previous + up:
        goal.move(previous + up, "step-up", f"at most {up} more at once")
    if down is not None and goal.count < previous - down:
        goal.move(previous - down, "step-down", f"at most {down} fewer at once")


def _bound(goal: _Goal, policy: ScalePolicy) -> None:
    if policy.budget_per_hour is not None:
        affordable = math.floor(policy.budget_per_hour / policy.price + 1e-9)
        if goal.count > affordable:
            word = f"the budget of {policy.budget_per_hour:g} an hour pays for {affordable}"
            goal.move(affordable, "budget", word)
    if goal.count > policy.max_replicas:
        goal.move(policy.max_replicas, "max", f"at most {policy.max_replicas}")
    if goal.count < policy.min_replicas:
        goal.move(policy.min_replicas, "min", f"at least {policy.min_replicas}")
