"""Placements: valid at every moment whatever the jobs, on time and cheap where others are not."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.scheduling import generated
from planners.placement import (
    Curve,
    CurveError,
    Job,
    Node,
    Placement,
    PlacementError,
    UnknownRuleError,
    known_rules,
    make_rule,
    schedule,
    score,
    violations,
)

HOUR = 3_600.0
FLAT = Curve.flat()


@st.composite
def clusters(draw: st.DrawFn) -> tuple[list[Job], list[Node], Curve]:
    """A few nodes, jobs of all kinds for them, and prices."""
    nodes = [
        Node(
            name=f"n{n}",
            cpu_milli=draw(st.integers(0, 16_000)),
            memory_mib=draw(st.integers(0, 64_000)),
            gpus=draw(st.integers(0, 4)),
            gpu_model=draw(st.sampled_from(["A", "B"])),
            price=draw(st.none() | st.floats(0.0, 10.0)),
            power_kw=draw(st.floats(0.0, 2.0)),
        )
        for n in range(draw(st.integers(1, 4)))
    ]
    jobs = []
    for n in range(draw(st.integers(0, 25))):
        gpus = draw(st.integers(0, 3))
        arrival = draw(st.floats(0.0, 30 * HOUR))
        jobs.append(
            Job(
                name=f"j{n}",
                cpu_milli=draw(st.integers(0, 12_000)),
                memory_mib=draw(st.integers(0, 40_000)),
                gpus=gpus,
                gpu_milli=draw(st.sampled_from([1, 300, 500, 1_000])) if gpus == 1 else 1_000,
                gpu_models=frozenset(draw(st.sampled_from(["", "A", "AB"]))),
                arrival_s=arrival,
                duration_s=draw(st.floats(1.0, 20 * HOUR)),
                deadline_s=draw(st.none() | st.floats(-HOUR, 100 * HOUR)),
                priority=draw(st.floats(0.0, 10.0)),
                deferrable=draw(st.booleans()),
            )
        )
    prices = draw(st.lists(st.floats(0.0, 5.0), min_size=1, max_size=30))
    return jobs, nodes, Curve([HOUR * n for n in range(len(prices))], prices, prices, 50.0)


@settings(max_examples=150, deadline=None)
@given(clusters(), st.sampled_from(known_rules()))
def test_capacity_is_never_exceeded_and_every_job_is_accounted_for(
    cluster: tuple[list[Job], list[Node], Curve], name: str
) -> None:
    jobs, nodes, curve = cluster
    plan = schedule(jobs, nodes, curve, make_rule(name))
    by_name, nodes_by_name = {job.name: job for job in jobs}, {node.name: node for node in nodes}
    assert violations(by_name, nodes_by_name, plan.placements) == []
    accounted = [each.job for each in (*plan.placements, *plan.refusals)]
    assert sorted(accounted) == sorted(by_name)
    assert schedule(jobs, nodes, curve, make_rule(name)) == plan


@settings(max_examples=40, deadline=None)
@given(clusters(), st.sampled_from(known_rules()), st.floats(0.0, 30 * HOUR))
def test_a_start_rests_on_the_jobs_that_have_arrived(
    cluster: tuple[list[Job], list[Node], Curve], name: str, until: float
) -> None:
    jobs, nodes, curve = cluster
    whole = schedule(jobs, nodes, curve, make_rule(name)).placements
    first = min((job.arrival_s for job in jobs), default=0.0)
    known = [job for job in jobs if job.arrival_s <= max(until, first)]
    part = schedule(known, nodes, curve, make_rule(name)).placements

    def until_then(placements: tuple[Placement, ...]) -> list[Placement]:
        return [each for each in placements if each.start_s <= until]

    assert until_then(whole) == until_then(part)


def test_the_check_finds_what_is_wrong() -> None:
    job = Job(name="a", cpu_milli=600, memory_mib=1, gpus=1, gpu_milli=600, arrival_s=10.0, duration_s=100.0)
    node = Node(name="n", cpu_milli=1_000, memory_mib=10, gpus=1)
    jobs = {"a": job, "b": msgspec.structs.replace(job, name="b")}
    nodes = {"n": node}

    def put(name: str, start: float, end: float, gpus: tuple[int, ...] = (0,)) -> Placement:
        return Placement(job=name, node="n", start_s=start, end_s=end, gpus=gpus)

    assert violations(jobs, nodes, [put("a", 10, 110), put("b", 110, 210)]) == []
    assert "over capacity at 109 s" in violations(jobs, nodes, [put("a", 10, 110), put("b", 109, 209)])[0]
    assert "before it arrives" in violations(jobs, nodes, [put("a", 0, 100)])[0]
    assert "expected 100" in violations(jobs, nodes, [put("a", 10, 50)])[0]
    assert "expected 1 of 1" in violations(jobs, nodes, [put("a", 10, 110, ())])[0]
    assert "placed twice" in violations(jobs, nodes, [put("a", 10, 110), put("a", 110, 210)])[0]
    assert "not a known job" in violations(jobs, nodes, [put("c", 10, 110)])[0]


@pytest.mark.parametrize(("load", "seed"), [(0.5, 1), (0.8, 2), (1.1, 3), (0.8, 7)])
def test_less_tardiness_and_cost_than_first_come_first_served(load: float, seed: int) -> None:
    jobs, nodes, curve = generated(seed, load)
    by_name, nodes_by_name = {job.name: job for job in jobs}, {node.name: node for node in nodes}

    def of(name: str) -> tuple[float, float]:
        plan = schedule(jobs, nodes, curve, make_rule(name))
        found = score(by_name, nodes_by_name, plan.placements, curve)
        return found.weighted_tardiness, found.cost

    ours, first = of("urgency"), of("fcfs")
    assert ours[0] < 0.5 * first[0] + 1.0
    assert ours[1] < first[1]


def _one(**fields: float | bool | None) -> Job:
    given = {"cpu_milli": 1_000, "memory_mib": 1, "arrival_s": 0.0, "duration_s": HOUR} | fields
    return Job(name="j", **given)  # type: ignore[arg-type]


NIGHT = Curve([0.0, 6 * HOUR, 12 * HOUR], [1.0, 0.2, 1.0])


@pytest.mark.parametrize(
    ("fields", "start"),
    [
        ({"deadline_s": 20 * HOUR, "deferrable": True}, 6 * HOUR),
        ({"deadline_s": 20 * HOUR, "deferrable": False}, 0.0),
        ({"deadline_s": 5 * HOUR, "deferrable": True}, 0.0),
        ({"deadline_s": None, "deferrable": True}, 0.0),
    ],
)
def test_what_can_wait_waits_for_the_cheap_hours_and_for_no_later(
    fields: dict[str, float | bool | None], start: float
) -> None:
    nodes = [Node(name="n", cpu_milli=8_000, memory_mib=8)]
    (placed,) = schedule([_one(**fields)], nodes, NIGHT, make_rule("urgency")).placements
    assert placed.start_s == start


def test_clean_hours_count_as_cheap_by_the_price_of_carbon() -> None:
    curve = Curve([0.0, 6 * HOUR, 12 * HOUR], [1.0, 1.0, 1.0], [500.0, 50.0, 500.0], 100.0)
    nodes = [Node(name="n", cpu_milli=1_000, memory_mib=8, price=0.01, power_kw=1.0)]
    job = _one(deadline_s=20 * HOUR, deferrable=True)
    (placed,) = schedule([job], nodes, curve, make_rule("urgency")).placements
    assert placed.start_s == 6 * HOUR


def test_a_large_job_is_not_starved_by_small_ones() -> None:
    nodes = [Node(name="n", cpu_milli=4_000, memory_mib=100)]
    small = [
        Job(name=f"s{n}", cpu_milli=1_000, memory_mib=1, arrival_s=n * 900.0, duration_s=HOUR, priority=5.0)
        for n in range(400)
    ]
    large = Job(name="large", cpu_milli=4_000, memory_mib=1, arrival_s=60.0, duration_s=HOUR)
    plan = schedule([large, *small], nodes, FLAT, make_rule("urgency"))
    (placed,) = (each for each in plan.placements if each.job == "large")
    assert placed.start_s < 2 * 24 * HOUR < small[-1].arrival_s


def test_what_no_node_can_hold_is_refused_with_the_reason() -> None:
    nodes = [Node(name="n", cpu_milli=4_000, memory_mib=100, gpus=1, gpu_model="A")]
    job = Job(
        name="j", cpu_milli=1, memory_mib=1, gpus=1, gpu_models=frozenset("B"), arrival_s=0.0, duration_s=1.0
    )
    (refusal,) = schedule([job], nodes, FLAT, make_rule("urgency")).refusals
    assert refusal.reason == "no node has 0.001 CPUs, 1 MiB and 1 GPUs B"


def test_a_curve_repeats_its_last_day() -> None:
    curve = Curve([HOUR * n for n in range(24)], [float(n) for n in range(24)])
    starts = np.array([5 * HOUR, 24 * 10 * HOUR + 5 * HOUR])
    price = curve.cost(starts, 2 * HOUR)[0]
    assert price == pytest.approx([11.0, 11.0])
    assert curve.at(30 * HOUR)[0] == 6.0


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(PlacementError, match="job j: duration is 0"):
        _one(duration_s=0.0)
    with pytest.raises(PlacementError, match="two jobs are named j"):
        schedule([_one(), _one()], [Node(name="n", cpu_milli=1, memory_mib=1)], FLAT, make_rule("fcfs"))
    with pytest.raises(PlacementError, match="no node"):
        schedule([_one()], [], FLAT, make_rule("fcfs"))
    with pytest.raises(UnknownRuleError, match="known are fcfs, backfill, urgency"):
        make_rule("best")
    with pytest.raises(CurveError, match="must ascend"):
        Curve([1.0, 1.0], [1.0, 1.0])
