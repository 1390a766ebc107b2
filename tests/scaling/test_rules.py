"""The planners' arithmetic on cases worked out by hand."""

import math

import msgspec
import pytest

from planners.scaling import (
    Decision,
    LoadForecast,
    Observation,
    ScalePolicy,
    ScaleState,
    Schedule,
    ScheduleError,
    largest,
    make_planner,
)
from planners.scaling.shadow import advance, breach_worth, first_shadow
from planners.scaling.tail import Tail

LEVELS = (0.5, 0.9, 0.99)
GOOD = LoadForecast(ts=0, levels=LEVELS, peaks=(100.0, 120.0, 150.0), skill=0.4, model="test")


def once(name: str, policy: ScalePolicy, forecast: LoadForecast | None = GOOD, **seen: float) -> Decision:
    observation = Observation(**({"ts": 0, "load": 100.0, "replicas": 14} | seen))  # type: ignore[arg-type]
    return make_planner(name)(policy, ScaleState(), observation, forecast)[0]


@pytest.mark.parametrize(("penalty", "replicas"), [(1.0, 10), (9.0, 12), (99.0, 15)])
def test_newsvendor_covers_the_critical_quantile(penalty: float, replicas: int) -> None:
    policy = ScalePolicy(capacity=10.0, penalty=penalty, breach_penalty=0.0)
    decision = once("newsvendor", policy)
    assert decision.replicas == replicas
    assert decision.rule == "newsvendor"
    assert decision.quantile == pytest.approx(penalty / (penalty + 1.0))


def test_a_dearer_breach_asks_for_more() -> None:
    counts = [
        once("newsvendor", ScalePolicy(capacity=10.0, penalty=1.0, breach_penalty=worth)).replicas
        for worth in (0.0, 10.0, 100.0, 1000.0)
    ]
    assert counts == sorted(counts)
    assert counts[0] == 10
    assert counts[-1] > 15


def test_asks_for_the_load_then_and_keeps_for_the_peak_before() -> None:
    policy = ScalePolicy(capacity=10.0, penalty=9.0, breach_penalty=0.0)
    falling = msgspec.structs.replace(GOOD, peaks=(160.0, 180.0, 200.0), ahead=(60.0, 70.0, 80.0))
    assert once("newsvendor", policy, falling, load=50.0, replicas=30).replicas == 18
    # What is not there cannot serve the peak before, so it is not asked for.
    assert once("newsvendor", policy, falling, load=50.0, replicas=5).replicas == 7


def test_never_below_the_present_load() -> None:
    policy = ScalePolicy(capacity=10.0, penalty=9.0, breach_penalty=0.0)
    gone = msgspec.structs.replace(GOOD, peaks=(10.0, 11.0, 12.0))
    assert once("newsvendor", policy, gone, load=95.0, replicas=2).replicas == 10


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"peaks": (math.nan, 1.0, 2.0)}, "not a number"),
        ({"peaks": (3.0, 2.0, 1.0)}, "do not ascend"),
        ({"peaks": (1e12, 1e12, 1e12)}, "absurd"),
        ({"peaks": (1.0,)}, "1 quantiles for 3 levels"),
        ({"ts": -10_000_000}, "10000 s old"),
        ({"ts": 60_000}, "old"),
        ({"skill": None}, "too little history"),
        ({"skill": -0.5}, "worse than persistence"),
    ],
)
def test_falls_back_to_the_reactive_rule_and_says_why(change: dict[str, object], words: str) -> None:
    policy = ScalePolicy(capacity=10.0)
    decision = once("newsvendor", policy, msgspec.structs.replace(GOOD, **change))
    assert decision.rule == "reactive"
    assert words in decision.reasons[0]
    assert decision.replicas == once("reactive", policy).replicas
    assert once("newsvendor", policy, None).rule == "reactive"


def test_reactive_rule_follows_the_documentation() -> None:
    policy = ScalePolicy(capacity=10.0, hpa_target=0.7)
    assert once("reactive", policy, load=100.0, replicas=10).replicas == 15  # ceil(10 * 1.0 / 0.7)
    assert once("reactive", policy, load=75.0, replicas=10).replicas == 10  # within a tenth of 0.7
    plan, state = make_planner("reactive"), ScaleState()
    counts = []
    for minute, load in enumerate([100.0] + [35.0] * 7):
        seen = Observation(ts=60_000 * minute, load=load, replicas=15)
        decision, state = plan(policy, state, seen, None)
        counts.append(decision.replicas)
    assert counts == [15] * 6 + [5] * 2  # five minutes after the last recommendation of 15
    far, _ = plan(policy, state, Observation(ts=60_000 * 8, load=1e6, replicas=5), None)
    assert far.replicas == 80  # doubled four times in a minute


def test_lost_load_keeps_the_replicas() -> None:
    for name in ("newsvendor", "reactive"):
        assert once(name, ScalePolicy(capacity=10.0), load=math.nan, replicas=23).replicas == 23


def test_shadow_pays_and_breaks_like_the_reactive_rule() -> None:
    policy = ScalePolicy(capacity=10.0, startup_s=120.0)
    shadow = first_shadow(policy, 0, 70.0)
    assert shadow.wanted == 10
    shadow = advance(policy, shadow, 60_000, 70.0)
    assert shadow.paid == pytest.approx(600.0)
    assert shadow.breached == 0.0
    for minute in range(2, 8):
        shadow = advance(policy, shadow, 60_000 * minute, 140.0)
    # It sees the step after 15 s and what it asks for serves two minutes later.
    assert shadow.breached == pytest.approx(120.0, abs=16.0)
    assert shadow.running == shadow.wanted == 20
    assert breach_worth(policy, shadow) == pytest.approx(0.09 * shadow.paid / (shadow.breached + 300.0))


def test_tail_is_exponential_between_and_past_quantiles() -> None:
    tail = Tail.of(LEVELS, (100.0, 120.0, 150.0), 0.0, 10.0)
    assert tail.beyond(10.0) == pytest.approx(0.5)
    assert tail.beyond(12.0) == pytest.approx(0.1)
    assert tail.beyond(11.0) == pytest.approx(math.sqrt(0.5 * 0.1))
    assert tail.beyond(5.0) == 1.0
    assert 0.0 < tail.beyond(20.0) < 0.01
    for level in (0.5, 0.7, 0.95, 0.999):
        assert tail.beyond(tail.at(level)) == pytest.approx(1.0 - level)


def test_schedule_holds_from_a_startup_time_before() -> None:
    office = Schedule(start="08:00", end="20:00", min=6, days=("mon", "tue"), timezone="Europe/Berlin")
    policy = ScalePolicy(capacity=10.0, schedules=(office,), startup_s=120.0)
    monday = 1_700_438_400_000  # 00:00 UTC, 01:00 in Berlin
    counts = []
    for minute in (7 * 60 - 3, 7 * 60 - 2, 18 * 60, 19 * 60, 31 * 60, 55 * 60):
        seen = Observation(ts=monday + minute * 60_000, load=10.0, replicas=2)
        decision, _ = make_planner("reactive")(policy, ScaleState(), seen, None)
        counts.append(decision.replicas)
    assert counts == [2, 6, 6, 2, 6, 2]
    night = Schedule(start="22:00", end="02:00", min=3, days=("sun",))
    assert night.covers(monday + 3_600_000)
    assert not night.covers(monday + 23 * 3_600_000)


@pytest.mark.parametrize("change", [{"start": "8"}, {"end": "25:00"}, {"min": -1}, {"timezone": "Mars/Base"}])
def test_schedules_that_cannot_be_followed_are_refused(change: dict[str, object]) -> None:
    good = {"start": "08:00", "end": "20:00", "min": 1}
    with pytest.raises(ScheduleError, match=next(iter(change))):
        Schedule(**(good | change))  # type: ignore[arg-type]


def test_scales_to_zero_when_idle_and_back_with_load() -> None:
    policy = ScalePolicy(capacity=10.0, min_replicas=0, idle_s=300.0)
    plan, state = make_planner("reactive"), ScaleState()
    counts = []
    for minute, load in enumerate([50.0] + [0.0] * 12 + [5.0]):
        seen = Observation(ts=60_000 * minute, load=load, replicas=counts[-1] if counts else 8)
        decision, state = plan(policy, state, seen, None)
        counts.append(decision.replicas)
    assert counts[0] == 8
    assert counts[4] >= 1
    assert counts[12] == 0
    assert counts[13] >= 1


def test_backlog_is_drained_in_time() -> None:
    policy = ScalePolicy(capacity=10.0, drain_s=60.0, penalty=1.0, breach_penalty=0.0)
    assert once("newsvendor", policy, backlog=600.0).replicas == 11  # 100/s arrive, 10/s more for a minute
    assert once("reactive", policy, backlog=6000.0).replicas == math.ceil(200.0 / 7.0)


def test_largest_need_wins_and_is_named() -> None:
    policy = ScalePolicy(capacity=10.0)
    decisions = {
        "cpu": once("reactive", policy, load=200.0),
        "requests": once("reactive", policy, load=100.0),
    }
    chosen = largest(decisions)
    assert chosen.replicas == decisions["cpu"].replicas
    assert "cpu" in chosen.reasons[0]
    with pytest.raises(ValueError, match="at least one"):
        largest({})
