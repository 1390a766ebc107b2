"""A constant count: the simplest planner, and what static provisioning costs."""

from planners.scaling.limits import is_replay, settle
from planners.scaling.values import Decision, LoadForecast, Observation, ScalePolicy, ScaleState


def fixed(
    policy: ScalePolicy, state: ScaleState, observation: Observation, forecast: LoadForecast | None = None
) -> tuple[Decision, ScaleState]:
    """Ask for `policy.fixed_replicas` (the maximum where it is not given), whatever the load."""
    if is_replay(state, observation):
        assert state.last is not None  # noqa: S101
        return state.last, state
    count = policy.max_replicas if policy.fixed_replicas is None else policy.fixed_replicas
    reasons = (f"fixed at {count}",)
    return settle(policy, state, observation, count, rule="fixed", reasons=reasons, stabilisation_s=0.0)
