"""Which observations belong to one step."""

from hypothesis import given
from hypothesis import strategies as st

from planners.releases.batch import Batch
from planners.releases.steps import Step, Steps

ONE = Batch(1.0, 10.0)


def closed(steps: Steps, reports: list[tuple[int, str, str]]) -> list[Step]:
    done = [steps.add(ts, arm, metric, ONE) for ts, arm, metric in reports]
    return [step for step in [*done, steps.close()] if step is not None]


def test_reports_of_the_same_moment_are_one_step() -> None:
    steps = closed(Steps(), [(ts, arm, "m") for ts in (0, 60, 120) for arm in ("control", "canary")])
    assert [step.ts for step in steps] == [0, 60, 120]
    assert all(set(step.arms) == {"control", "canary"} for step in steps)


def test_arms_that_report_seconds_apart_are_one_step() -> None:
    reports = [(60 * k + late, arm, "m") for k in range(5) for late, arm in ((0, "control"), (7, "canary"))]
    steps = closed(Steps(), reports)
    assert len(steps) == 5
    assert all(set(step.arms) == {"control", "canary"} for step in steps)


def test_two_reporters_of_one_arm_are_added_up() -> None:
    steps = closed(Steps(), [(0, "canary", "m"), (0, "canary", "m"), (0, "control", "m")])
    assert steps[0].of("canary", "m") == Batch(2.0, 20.0)


def test_a_silent_arm_leaves_its_step_alone() -> None:
    """After a gap of the canary, its next report meets the control's report of the same time."""
    reports = [(ts, "control", "m") for ts in range(0, 600, 60)]
    reports += [(ts, "canary", "m") for ts in (*range(0, 120, 60), *range(300, 600, 60))]
    steps = closed(Steps(), sorted(reports, key=lambda report: report[0]))
    assert len(steps) == 10
    assert [set(step.arms) == {"control", "canary"} for step in steps] == [True] * 2 + [False] * 3 + [
        True
    ] * 5


def test_a_report_of_a_judged_step_is_late() -> None:
    steps = Steps()
    closed(steps, [(ts, "control", "m") for ts in (0, 60)])
    steps.add(120, "control", "m", ONE)
    assert steps.add(0, "canary", "m", ONE) is None
    assert steps.late == 1


def test_a_fixed_width_gathers_single_events() -> None:
    reports = [(ts, arm, "m") for ts in range(0, 3000, 10) for arm in ("control", "canary")]
    steps = closed(Steps(width=1000), reports)
    assert len(steps) == 3
    assert steps[0].of("control", "m") == Batch(100.0, 1000.0)


def test_a_step_is_due_when_nothing_can_join_it() -> None:
    steps = Steps()
    closed(steps, [(ts, "control", "m") for ts in (0, 60)])
    steps.add(120, "control", "m", ONE)
    assert not steps.due(179)
    assert steps.due(180)
    assert not Steps().due(10**12)


@given(
    st.lists(
        st.tuples(st.integers(0, 1000), st.sampled_from(["control", "canary"]), st.sampled_from("ab")),
        max_size=60,
    )
)
def test_nothing_is_lost_or_counted_twice(reports: list[tuple[int, str, str]]) -> None:
    steps = Steps()
    done = closed(steps, reports)
    counted = sum(batch.count for step in done for arm in step.arms.values() for batch in arm.values())
    assert counted + steps.late == len(reports)
