"""The rule of the Kubernetes Horizontal Pod Autoscaler: the baseline, and the fallback."""

import math

from planners.scaling.limits import current_replicas, demand, is_replay, settle
from planners.scaling.values import Decision, LoadForecast, Observation, ScalePolicy, ScaleState

TOLERANCE = 0.1
STABILISATION_S = 300.0
POLICY_S = 15.0  # the HPA's period: doubling, or four more, in each


def reactive(
    policy: ScalePolicy, state: ScaleState, observation: Observation, forecast: LoadForecast | None = None
) -> tuple[Decision, ScaleState]:
    """Keep utilisation at `policy.hpa_target`, as autoscaling/v2 does with its defaults.

    desired = ceil(current * utilisation / target); nothing within a tenth of the target; up by at most
    doubling or 4 per 15 s; down to the highest recommendation of the last 300 s. The forecast is not
    looked at. Without a usable load the count stays.
    """
    return follow_load(policy, state, observation, why=())


def follow_load(
    policy: ScalePolicy, state: ScaleState, observation: Observation, why: tuple[str, ...]
) -> tuple[Decision, ScaleState]:
    """The reactive rule, with words that say why it is followed."""
    if is_replay(state, observation):
        assert state.last is not None  # noqa: S101
        return state.last, state
    previous = current_replicas(policy, state, observation)
    load = demand(policy, observation)
    if not math.isfinite(load):
        reasons = (*why, "the load is not known: replicas stay as they are")
        return settle(policy, state, observation, previous, rule="reactive", reasons=reasons)
    load = max(load, 0.0)
    running = max(previous, 1)
    utilisation = load / (running * policy.capacity)
    ratio = utilisation / policy.hpa_target
    if previous > 0 and abs(ratio - 1.0) <= TOLERANCE:
        wanted = previous
        word = f"utilisation {utilisation:.2f} is within a tenth of {policy.hpa_target:g}"
    else:
        # A load beyond any fleet must not overflow the arithmetic: the limits cut it anyway.
        wanted = math.ceil(min(running * ratio, 1e9) - 1e-9)
        word = f"utilisation {utilisation:.2f} of {running} against {policy.hpa_target:g} asks for {wanted}"
    words = [*why, word]
    elapsed = observation.ts - state.last.ts if state.last is not None else 0
    most = previous
    for _ in range(int(min(max(elapsed / 1000.0 / POLICY_S, 1.0), 60.0))):
        most = max(2 * most, most + 4)
    if state.last is not None and wanted > most:
        wanted = most
        words.append(f"at most {most}: doubling, or four more, in {POLICY_S:g} s")
    return settle(
        policy, state, observation, wanted, rule="reactive", reasons=tuple(words),
        stabilisation_s=max(policy.stabilisation_s, STABILISATION_S), tolerance=0.0,
    )  # fmt: skip
