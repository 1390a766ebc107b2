"""The canary's plan: steps, pauses, ends, silence, replay."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners.releases import (
    Canary,
    CanaryAction,
    CanaryPlan,
    Confirmed,
    MetricVerdict,
    Observed,
    Ordered,
    Verdict,
)
from planners.releases.canary import CanaryEvent, advance, start
from schemas import Promote, Rollback, SetTraffic

MINUTE = 60_000
PLAN = CanaryPlan(bake_ms=10 * MINUTE, silence_ms=60 * MINUTE)


def verdict(minute: int, decision: str = "continue", steps: int | None = None) -> Verdict:
    seen = MetricVerdict(
        metric="errors",
        kind="rate",
        finding="undecided",
        evidence=1.0,
        needed=100.0,
        tolerance=0.05,
        ratio=1.0,
        lower=0.5,
        upper=2.0,
        steps=minute if steps is None else steps,
        missing=0,
        reason="errors undecided",
    )
    return Verdict(
        release="v2",
        ts=minute * MINUTE,
        verdict=decision,  # type: ignore[arg-type]
        metric="errors",
        reason=f"{decision}: because",
        final=decision != "continue",
        per_metric=(seen,),
    )


def confirmed(canary: Canary, action: CanaryAction | None, event: CanaryEvent) -> Canary:
    """The canary after the platform has done at once what it was asked for."""
    if action is None or not isinstance(action.action, SetTraffic):
        return canary
    seen = event.verdict if isinstance(event, Observed) else None
    return advance(canary, Confirmed(event.ts, canary.step, seen))[0]


def begun(plan: CanaryPlan = PLAN) -> tuple[Canary, CanaryAction]:
    canary, first = start("v2", "v1", 0, plan)
    assert first is not None
    return confirmed(canary, first, Observed(0)), first


def run(events: list[CanaryEvent], plan: CanaryPlan = PLAN) -> tuple[Canary, list[CanaryAction]]:
    canary, first = begun(plan)
    actions = [first]
    for event in events:
        canary, action = advance(canary, event)
        canary = confirmed(canary, action, event)
        if action is not None:
            actions.append(action)
    return canary, actions


def observed(minutes: range, decision: str = "continue") -> list[CanaryEvent]:
    return [Observed(minute * MINUTE, verdict(minute, decision)) for minute in minutes]


def test_a_good_release_walks_all_steps() -> None:
    canary, actions = run(observed(range(1, 60)))
    assert [action.action for action in actions] == [
        SetTraffic(release="v2", percent=5.0),
        SetTraffic(release="v2", percent=25.0),
        SetTraffic(release="v2", percent=50.0),
        SetTraffic(release="v2", percent=100.0),
        Promote(release="v2"),
    ]
    assert (canary.phase, canary.percent) == ("promoted", 100.0)
    assert canary.why == "the last step, 100 %, went well"


def test_a_step_does_not_begin_before_the_platform_has_set_its_traffic() -> None:
    canary, _ = start("v2", "v1", 0, PLAN)
    for event in observed(range(1, 30)):
        canary, action = advance(canary, event)
        assert action is None
    canary, _ = advance(canary, Confirmed(30 * MINUTE, 0, verdict(30)))
    canary, action = advance(canary, Observed(39 * MINUTE, verdict(39)))
    assert action is None
    canary, action = advance(canary, Observed(40 * MINUTE, verdict(40)))
    assert action is not None
    assert action.action == SetTraffic(release="v2", percent=25.0)


def test_what_the_platform_never_confirms_ends_in_a_pause_that_says_so() -> None:
    canary, _ = start("v2", "v1", 0, PLAN)
    for event in observed(range(1, 61)):
        canary, _ = advance(canary, event)
    assert (canary.phase, canary.why) == ("paused", "step 5 % was not confirmed by the platform for 60 min")


def test_a_refused_release_gets_no_traffic_until_a_person_resumes() -> None:
    canary, action = start("v2", "v1", 0, PLAN, refused="v2 was rolled back 5 min ago")
    assert action is None
    for event in observed(range(1, 30)):
        canary, action = advance(canary, event)
        assert action is None
    canary, action = advance(canary, Ordered(30 * MINUTE, "resume", by="ann", reason="it is mended"))
    assert action is not None
    assert (action.action, action.by) == (SetTraffic(release="v2", percent=5.0), "ann")


@pytest.mark.parametrize("minute", [1, 15, 35])
def test_a_bad_release_is_taken_back_at_once(minute: int) -> None:
    events = [*observed(range(1, minute)), *observed(range(minute, minute + 1), "rollback")]
    canary, actions = run(events)
    assert actions[-1].action == Rollback(release="v2", to="v1")
    assert actions[-1].reason == "rollback: because"
    assert (canary.phase, canary.percent) == ("rolled-back", 0.0)


def test_no_step_without_data() -> None:
    """The canary is silent: no step is taken, and after an hour a person is asked."""
    canary, actions = run([Observed(minute * MINUTE, verdict(minute, steps=2)) for minute in range(1, 59)])
    assert len(actions) == 1
    assert canary.phase == "baking"
    canary, action = advance(canary, Observed(60 * MINUTE, verdict(60, steps=2)))
    assert action is None
    assert canary.phase == "paused"
    assert canary.why == "step 5 % had too little data for 60 min"


def test_no_verdict_at_all_is_silence_too() -> None:
    plan = msgspec.structs.replace(PLAN, on_silence="rollback")
    canary, actions = run([Observed(minute * MINUTE) for minute in range(1, 61)], plan)
    assert canary.phase == "rolled-back"
    assert isinstance(actions[-1].action, Rollback)


def test_each_step_needs_data_of_its_own() -> None:
    """Data of the first step do not carry the second."""
    events: list[CanaryEvent] = [
        Observed(minute * MINUTE, verdict(minute, steps=min(minute, 10))) for minute in range(1, 40)
    ]
    _, actions = run(events)
    assert [action.key for action in actions] == ["v2@0/step-0", "v2@0/step-1"]


def test_an_early_promotion_counts_only_where_asked() -> None:
    patient, _ = run(observed(range(1, 3), "promote"))
    eager, actions = run(observed(range(1, 3), "promote"), msgspec.structs.replace(PLAN, eager=True))
    assert (patient.phase, patient.step) == ("baking", 0)
    assert eager.phase == "promoted"
    assert actions[-1].action == Promote(release="v2")


def test_a_sure_judge_need_not_see_more() -> None:
    """A final verdict stops counting steps; the plan goes on by its times."""
    events: list[CanaryEvent] = [
        Observed(minute * MINUTE, verdict(minute, "promote", steps=9)) for minute in range(1, 60)
    ]
    canary, _ = run(events)
    assert canary.phase == "promoted"


def test_a_pause_holds_and_its_step_is_baked_anew() -> None:
    events: list[CanaryEvent] = [
        *observed(range(1, 9)),
        Ordered(9 * MINUTE, "pause", by="ann", reason="lunch"),
        *observed(range(10, 100)),
        Ordered(100 * MINUTE, "resume", by="ann"),
        *observed(range(101, 109)),
    ]
    canary, actions = run(events)
    assert len(actions) == 1
    canary, action = advance(canary, Observed(110 * MINUTE, verdict(110)))
    assert action is not None
    assert action.action == SetTraffic(release="v2", percent=25.0)


def test_a_paused_release_is_still_taken_back() -> None:
    _, actions = run([Ordered(MINUTE, "pause", by="ann"), *observed(range(2, 3), "rollback")])
    assert isinstance(actions[-1].action, Rollback)


@pytest.mark.parametrize(("order", "kind"), [("abort", Rollback), ("promote", Promote)])
def test_a_person_may_end_it(order: str, kind: type) -> None:
    _, actions = run([Ordered(MINUTE, order, by="ann", reason="enough seen")])  # type: ignore[arg-type]
    assert isinstance(actions[-1].action, kind)
    assert actions[-1].reason == "ann: enough seen"


EVENTS = st.lists(
    st.one_of(
        st.builds(
            lambda minute, decision, steps: Observed(minute * MINUTE, verdict(minute, decision, steps)),
            st.integers(0, 200),
            st.sampled_from(["continue"] * 8 + ["promote", "rollback"]),
            st.integers(0, 200),
        ),
        st.builds(
            lambda minute, order: Ordered(minute * MINUTE, order, by="ann"),
            st.integers(0, 200),
            st.sampled_from(["pause", "resume", "promote", "abort"]),
        ),
    ),
    max_size=40,
)


@given(EVENTS)
def test_whatever_comes(events: list[CanaryEvent]) -> None:
    """Traffic only grows until the end, at most one end comes, and no key is used for two actions."""
    canary, actions = run(events)
    percents = [action.action.percent for action in actions if isinstance(action.action, SetTraffic)]
    ends = [action for action in actions if not isinstance(action.action, SetTraffic)]
    assert percents == sorted(percents)
    assert len(ends) <= 1
    assert actions[-1:] == ends or not ends
    assert len({action.key for action in actions}) == len(actions)
    assert (canary.phase in ("promoted", "rolled-back")) == bool(ends)


@given(EVENTS, st.integers(0, 40), st.integers(0, 40))
def test_a_replay_asks_for_nothing_new(events: list[CanaryEvent], crash: int, back: int) -> None:
    """A worker dies after `crash` events, and its successor sees the last `back` of them again."""
    events = sorted((each for each in events if isinstance(each, Observed)), key=lambda event: event.ts)
    whole, asked = run(events)
    canary, first = begun()
    keys = [first.key]
    for event in [*events[:crash], *events[max(crash - back, 0) :]]:
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(canary), type=Canary)
        canary, action = advance(stored, event)
        canary = confirmed(canary, action, event)
        keys += [action.key] if action else []
    assert set(keys) >= {action.key for action in asked} or whole.phase != canary.phase
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("steps", [(), (5.0, 5.0), (50.0, 25.0)])
def test_refuses_steps_that_do_not_ascend(steps: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must ascend"):
        CanaryPlan(steps=steps)
