"""One suite over every scaling planner: safe whatever it is told."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners.scaling import (
    Decision,
    LoadForecast,
    Observation,
    PolicyError,
    ScalePolicy,
    ScaleState,
    UnknownPlannerError,
    known_planners,
    make_planner,
)

LEVELS = (0.5, 0.9, 0.99, 0.999)
ANY = st.floats(allow_nan=True, allow_infinity=True)
LOADS = st.floats(0.0, 1e9) | st.sampled_from([math.nan, math.inf, -math.inf, -5.0, 0.0, 1e300])

policies = st.builds(
    lambda low, span, **rest: ScalePolicy(min_replicas=low, max_replicas=low + span, **rest),
    low=st.integers(0, 20),
    span=st.integers(0, 200),
    capacity=st.floats(0.01, 1e6),
    startup_s=st.floats(0.0, 600.0),
    price=st.floats(0.01, 100.0),
    penalty=st.floats(0.0, 1000.0),
    breach_penalty=st.none() | st.floats(0.0, 1e5),
    tolerance=st.floats(0.0, 0.5),
    stabilisation_s=st.floats(0.0, 600.0),
    max_step_up=st.none() | st.integers(1, 50),
    max_step_down=st.none() | st.integers(1, 50),
    budget_per_hour=st.none() | st.floats(0.0, 1e4),
    drain_s=st.none() | st.floats(1.0, 600.0),
    idle_s=st.floats(0.0, 900.0),
)


@st.composite
def forecasts(draw: st.DrawFn, ts: int) -> LoadForecast | None:
    """Anything from a good forecast to a broken one."""
    kind = draw(st.sampled_from(["none", "good", "wild"]))
    if kind == "none":
        return None
    if kind == "wild":
        peaks = tuple(draw(st.lists(ANY, min_size=0, max_size=6)))
        ahead = tuple(draw(st.lists(ANY, min_size=0, max_size=6)))
        return LoadForecast(
            ts=ts + draw(st.integers(-(10**9), 10**9)), levels=LEVELS, peaks=peaks, ahead=ahead,
            skill=draw(st.none() | ANY), model="wild",
        )  # fmt: skip
    peaks = tuple(sorted(draw(st.lists(st.floats(0.0, 1e7), min_size=4, max_size=4))))
    ahead = tuple(peak * draw(st.floats(0.0, 1.0)) for peak in peaks)
    return LoadForecast(
        ts=ts, levels=LEVELS, peaks=peaks, ahead=tuple(sorted(ahead)), skill=0.5, model="good"
    )


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Observation, LoadForecast | None]]:
    """Observations a minute apart, some of them with lost metrics."""
    told = []
    for number in range(draw(st.integers(1, 12))):
        ts = 1_700_000_000_000 + 60_000 * number
        observation = Observation(
            ts=ts, load=draw(LOADS), replicas=draw(st.none() | st.integers(0, 300)),
            backlog=draw(st.floats(0.0, 1e6)),
        )  # fmt: skip
        told.append((observation, draw(forecasts(ts))))
    return told


def decide(
    name: str, policy: ScalePolicy, history: list[tuple[Observation, LoadForecast | None]]
) -> list[tuple[Decision, ScaleState]]:
    plan, state, out = make_planner(name), ScaleState(), []
    for observation, forecast in history:
        decision, state = plan(policy, state, observation, forecast)
        out.append((decision, state))
    return out


@pytest.mark.parametrize("name", known_planners())
@given(policy=policies, history=histories())
def test_stays_inside_bounds_and_steps(
    name: str, policy: ScalePolicy, history: list[tuple[Observation, LoadForecast | None]]
) -> None:
    for decision, _ in decide(name, policy, history):
        assert policy.min_replicas <= decision.replicas <= policy.max_replicas
        assert decision.changed == (decision.replicas != decision.previous)
        assert decision.reasons
        rise = decision.replicas - decision.previous
        inside = policy.min_replicas <= decision.previous <= policy.max_replicas
        if policy.max_step_up is not None and inside and rise > 0:
            assert rise <= policy.max_step_up
        if policy.max_step_down is not None and inside and rise < 0 and "budget" not in decision.limited_by:
            assert -rise <= policy.max_step_down
        if policy.budget_per_hour is not None and decision.replicas > policy.min_replicas:
            assert decision.replicas * policy.price <= policy.budget_per_hour * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("name", known_planners())
@given(policy=policies, history=histories())
def test_is_pure_and_its_state_travels(
    name: str, policy: ScalePolicy, history: list[tuple[Observation, LoadForecast | None]]
) -> None:
    straight = decide(name, policy, history)
    plan, state = make_planner(name), ScaleState()
    for (observation, forecast), (expected, _) in zip(history, straight, strict=True):
        stored = msgspec.msgpack.encode(state)
        state = msgspec.msgpack.decode(stored, type=ScaleState)
        decision, state = plan(policy, state, observation, forecast)
        assert decision == expected


@pytest.mark.parametrize("name", known_planners())
@given(policy=policies, history=histories())
def test_replay_gives_the_last_decision_again(
    name: str, policy: ScalePolicy, history: list[tuple[Observation, LoadForecast | None]]
) -> None:
    plan = make_planner(name)
    last, state = decide(name, policy, history)[-1]
    for observation, forecast in history:
        again, after = plan(policy, state, observation, forecast)
        assert again == last
        assert after == state


@pytest.mark.parametrize("name", known_planners())
@given(
    policy=policies.map(lambda policy: msgspec.structs.replace(policy, breach_penalty=0.0)),
    load=st.floats(0.0, 1e6),
    more=st.floats(0.0, 1e6),
    previous=st.integers(0, 200),
    spread=st.lists(st.floats(0.0, 1e5), min_size=4, max_size=4).map(sorted),
)
def test_more_load_never_asks_for_less(
    name: str, policy: ScalePolicy, load: float, more: float, previous: int, spread: list[float]
) -> None:
    counts = []
    for value in (load, load + more):
        forecast = LoadForecast(
            ts=0, levels=LEVELS, peaks=tuple(value + extra for extra in spread), skill=0.5, model="test"
        )
        observation = Observation(ts=0, load=value, replicas=previous)
        decision, _ = make_planner(name)(policy, ScaleState(), observation, forecast)
        counts.append(decision.replicas)
    assert counts[0] <= counts[1]


@pytest.mark.parametrize("name", known_planners())
def test_missing_replicas_metric_means_the_last_decision(name: str) -> None:
    policy = ScalePolicy(capacity=10.0, fixed_replicas=7)
    plan = make_planner(name)
    first, state = plan(policy, ScaleState(), Observation(ts=0, load=100.0, replicas=3), None)
    second, _ = plan(policy, state, Observation(ts=60_000, load=100.0, replicas=None), None)
    assert second.previous == first.replicas


@pytest.mark.parametrize("name", known_planners())
def test_budget_step_and_bound_say_so(name: str) -> None:
    policy = ScalePolicy(capacity=1.0, fixed_replicas=500, max_replicas=300, budget_per_hour=100.0, price=1.0)
    decision, _ = make_planner(name)(policy, ScaleState(), Observation(ts=0, load=400.0, replicas=90), None)
    assert decision.replicas == 100
    assert "budget" in decision.limited_by
    assert any("budget" in reason for reason in decision.reasons)


def test_unknown_planner_lists_the_known() -> None:
    with pytest.raises(UnknownPlannerError, match="newsvendor, reactive, fixed"):
        make_planner("lucky")


@pytest.mark.parametrize(
    ("field", "value"),
    [("capacity", 0.0), ("price", -1.0), ("penalty", math.inf), ("max_step_up", 0), ("drain_s", 0.0)],
)
def test_policies_that_cannot_be_followed_are_refused(field: str, value: float) -> None:
    with pytest.raises(PolicyError, match=field):
        ScalePolicy(**({"capacity": 1.0} | {field: value}))
    with pytest.raises(PolicyError, match="below min_replicas"):
        ScalePolicy(capacity=1.0, min_replicas=5, max_replicas=4)
