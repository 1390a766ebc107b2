"""Cluster plans: within every limit, the best there is, the newsvendor rule where nothing is shared."""

import csv
import itertools
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from planners.optimiser import ClusterError, ClusterLimits, Demand, cost_of, optimise, proportional
from planners.optimiser.worth import unserved, worth_of_one
from planners.scaling import LoadForecast, Observation, ScalePolicy, ScaleState
from planners.scaling.newsvendor import newsvendor
from planners.scaling.tail import Tail
from streams.cli import app
from streams.errors import EXPECTED

LEVELS = (0.5, 0.9, 0.99)


@st.composite
def demands(draw: st.DrawFn, most: int = 12) -> list[Demand]:
    """A few targets of all kinds."""
    made = []
    for number in range(draw(st.integers(1, most))):
        middle = draw(st.floats(0.0, 40.0))
        spread = draw(st.floats(0.0, 2.0))
        least = draw(st.integers(0, 5))
        made.append(
            Demand(
                target=f"t{number}",
                levels=LEVELS,
                quantiles=(middle, middle * (1 + spread), middle * (1 + 2 * spread)),
                price=draw(st.floats(0.1, 5.0)),
                penalty=draw(st.floats(0.0, 50.0)),
                priority=draw(st.integers(0, 2)),
                least=least,
                most=least + draw(st.integers(0, 60)),
                uses={"cpu": draw(st.floats(0.0, 4.0))},
            )
        )
    return made


@settings(max_examples=60, deadline=None)
@given(demands(), st.floats(0.0, 200.0), st.none() | st.floats(0.0, 200.0))
def test_no_limit_is_ever_exceeded_and_minima_hold_where_there_is_room(
    known: list[Demand], cpu: float, budget: float | None
) -> None:
    plan = optimise(known, ClusterLimits(capacity={"cpu": cpu}, budget=budget))
    counts = plan.counts()
    assert sum(each.uses["cpu"] * counts[each.target] for each in known) <= cpu + 1e-6
    if budget is not None:
        assert sum(each.price * counts[each.target] for each in known) <= budget + 1e-6
    assert all(0 <= counts[each.target] <= each.most for each in known)
    room = sum(each.uses["cpu"] * each.least for each in known) <= cpu
    affordable = budget is None or sum(each.price * each.least for each in known) <= budget
    if room and affordable:
        assert all(counts[each.target] >= each.least for each in known)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.5, 6.0), st.floats(1.0, 30.0)), min_size=2, max_size=3), st.integers(1, 12)
)
def test_no_other_division_is_cheaper(targets: list[tuple[float, float]], capacity: int) -> None:
    known = [
        Demand(
            target=f"t{i}", levels=LEVELS, quantiles=(need, need * 1.5, need * 2), penalty=penalty, least=0,
            most=12, uses={"slots": 1.0},
        )
        for i, (need, penalty) in enumerate(targets)
    ]  # fmt: skip
    plan = optimise(known, ClusterLimits(capacity={"slots": float(capacity)}))
    best = min(
        cost_of(known, {each.target: count for each, count in zip(known, counts, strict=True)})
        for counts in itertools.product(range(13), repeat=len(known))
        if sum(counts) <= capacity
    )
    assert cost_of(known, plan.counts()) <= best * 1.01 + 1e-6


@settings(max_examples=30, deadline=None)
@given(demands(most=4))
def test_alone_each_gets_what_the_newsvendor_rule_gives_it(known: list[Demand]) -> None:
    for demand, allocation in zip(known, optimise(known, ClusterLimits()).allocations, strict=True):
        policy = ScalePolicy(
            capacity=1.0, price=demand.price, penalty=demand.penalty, breach_penalty=0.0,
            min_replicas=demand.least, max_replicas=demand.most,
        )  # fmt: skip
        tail = Tail.of(demand.levels, demand.quantiles, 0.0, 1.0)
        counts = range(demand.least, demand.most + 1)
        costs = {n: demand.price * n + worth_of_one(demand) * unserved(tail, n) for n in counts}
        assert costs[allocation.replicas] <= min(costs.values()) * 1.02 + 1e-6
        if demand.penalty > 2 * demand.price:  # below the median the rule knows of no less than the median
            forecast = LoadForecast(ts=0, levels=LEVELS, peaks=demand.quantiles, skill=0.5, model="m")
            decided, _ = newsvendor(policy, ScaleState(), Observation(ts=0, load=0.0), forecast)
            assert abs(decided.replicas - allocation.replicas) <= 2


def _target(name: str, **fields: object) -> Demand:
    base = Demand(target=name, levels=LEVELS, quantiles=(10.0, 12.0, 14.0), uses={"cpu": 1.0})
    return msgspec.structs.replace(base, **fields)


def test_a_higher_priority_is_served_first_and_minima_before_that() -> None:
    known = [_target("low", penalty=100.0, least=3), _target("high", priority=1, penalty=5.0)]
    plan = optimise(known, ClusterLimits(capacity={"cpu": 15.0}))
    low, high = plan.allocations
    assert high.replicas == high.alone
    assert low.replicas == 15 - high.replicas >= 3
    assert plan.binding == ("cpu",)
    assert "cpu leave" in low.reasons[1]


def test_of_one_priority_the_dearer_breach_is_served_first() -> None:
    known = [_target("cheap", penalty=3.0, least=0), _target("dear", penalty=60.0, least=0)]
    cheap, dear = optimise(known, ClusterLimits(capacity={"cpu": 16.0})).allocations
    assert dear.replicas >= 10  # the median, all of it; beyond that replicas of both are worth as much
    assert cheap.replicas == 16 - dear.replicas < cheap.alone


def test_without_room_for_the_minima_it_says_so() -> None:
    known = [_target("low", least=8), _target("high", priority=1, least=8)]
    low, high = optimise(known, ClusterLimits(capacity={"cpu": 10.0})).allocations
    assert (low.replicas, high.replicas) == (2, 8)
    assert "no room for its minimum of 8" in low.reasons[-1]


def test_a_plan_is_cheaper_than_cutting_all_in_proportion() -> None:
    known = [_target(f"t{i}", penalty=2.0 + 3.0 * i) for i in range(20)]
    limits = ClusterLimits(capacity={"cpu": 150.0})
    alone = [each.replicas for each in optimise(known, ClusterLimits()).allocations]
    ours = cost_of(known, optimise(known, limits).counts())
    assert ours < 0.8 * cost_of(known, proportional(known, limits, alone))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"quantiles": (3.0, 2.0, 1.0)}, "expected them to ascend"),
        ({"quantiles": (1.0, 2.0)}, "3 levels and 2 quantiles"),
        ({"levels": (0.5, 0.9, 1.0)}, "levels"),
        ({"least": 5, "most": 4}, "from 5 to 4 replicas"),
        ({"uses": {"cpu": -1.0}}, "cpu is -1.0"),
    ],
)
def test_what_cannot_be_planned_with_is_named(fields: dict[str, object], told: str) -> None:
    with pytest.raises(ClusterError, match=told):
        _target("t", **fields)


def test_the_command_plans_a_file_of_demands(tmp_path: Path) -> None:
    demands_file, out = tmp_path / "demands.csv", tmp_path / "plan.csv"
    demands_file.write_text("target,q0.5,q0.9,penalty,cpu\nweb,10,14,30,2\nbatch,10,14,3,2\n")
    arguments = ["optimise", "--demands", str(demands_file), "--out", str(out), "--capacity", "cpu=40"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert "cpu: 40 of 40" in done.output
    assert "held by cpu" in done.output
    with out.open() as file:
        rows = {row["target"]: row for row in csv.DictReader(file)}
    web, batch = (int(rows[name]["replicas"]) for name in ("web", "batch"))
    assert web + batch == 20
    assert web > batch  # its load is worth ten times as much
    assert batch < int(rows["batch"]["alone"])
    demands_file.write_text("target,q0.5,disk\nweb,10,1\n")
    with pytest.raises(EXPECTED, match="unknown columns disk"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
