"""The order of a target's events does not depend on the order in which they are read."""

from collections.abc import Sequence
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from schemas import Deployment
from streams.order import MOST_WAITING, PATIENCE_MS, EventOrder, Moment

STEP = 15_000
SERIES = ("rps", "errors", "latency")


def _moment(series: str, step: int) -> Moment:
    return Moment(step * STEP, series, "load" if series == "rps" else series, None, float(step))


def _read(order: EventOrder, heard: dict[str, int], moments: Sequence[Moment], now: int) -> list[object]:
    for moment in moments:
        order.add(moment)
        heard[moment.series] = now
    return list(order.take(heard, now))


def _known() -> tuple[EventOrder, dict[str, int]]:
    """An order that has met all series already."""
    order, heard = EventOrder(interval_ms=STEP), dict[str, int]()
    _read(order, heard, [_moment(series, 0) for series in SERIES], 0)
    return order, heard


@given(st.randoms(use_true_random=False), st.integers(0, 40))
def test_runs_ahead_of_one_series_change_nothing(rng: Random, deployed: int) -> None:
    deployment = Deployment(target="shop", release="v2", ts=deployed * STEP, previous="v1")
    orderly, heard = _known()
    orderly.deploy(deployment)
    expected = [
        due for step in range(1, 41) for due in _read(orderly, heard, [_moment(s, step) for s in SERIES], 0)
    ]
    ahead, heard = _known()
    ahead.deploy(deployment)
    left = {series: list(range(1, 41)) for series in SERIES}
    found: list[object] = []
    while any(left.values()):
        series, count = rng.choice([series for series in SERIES if left[series]]), rng.randint(1, 20)
        steps, left[series] = left[series][:count], left[series][count:]
        found += _read(ahead, heard, [_moment(series, step) for step in steps], 0)
    assert found == expected


def test_a_deployment_comes_before_the_first_sample_at_its_time() -> None:
    order, heard = _known()
    deployment = Deployment(target="shop", release="v2", ts=3 * STEP, previous="v1")
    order.deploy(deployment)
    order.deploy(deployment)  # a replayed event
    errors = _read(order, heard, [_moment("errors", step) for step in range(1, 6)], 0)
    assert errors == []
    rest = [_moment(series, step) for series in ("rps", "latency") for step in range(1, 6)]
    due = _read(order, heard, rest, 0)
    assert due.count(deployment) == 1
    at = due.index(deployment)
    assert all(d.ts < deployment.ts or d.role == "load" for d in due[:at] if isinstance(d, Moment))


def test_a_late_deployment_takes_effect_at_once() -> None:
    order, heard = _known()
    _read(order, heard, [_moment(series, step) for step in range(1, 6) for series in SERIES], 0)
    deployment = Deployment(target="shop", release="v2", ts=3 * STEP, previous="v1")
    order.deploy(deployment)
    assert list(order.take(heard, 0)) == [deployment]


def test_live_series_do_not_wait_for_each_other() -> None:
    order, heard = _known()
    moment = _moment("rps", 1)
    assert _read(order, heard, [moment], STEP) == [moment]


def test_a_series_that_ended_is_waited_for_no_longer_than_the_patience() -> None:
    order, heard = _known()
    moments = [_moment("rps", step) for step in (1, 2)]
    assert _read(order, heard, moments, PATIENCE_MS) == []
    assert list(order.take(heard, PATIENCE_MS + 1)) == moments


def test_restored_series_are_waited_for_as_if_read_now() -> None:
    order, _ = _known()
    later = 1_000 * STEP
    assert _read(order, {}, [_moment("rps", 1)], later) == []


def test_no_more_wait_than_the_state_can_hold() -> None:
    order, heard = _known()
    due = _read(order, heard, [_moment("rps", step) for step in range(1, MOST_WAITING + 11)], 0)
    assert [each.ts for each in due if isinstance(each, Moment)] == [step * STEP for step in range(1, 11)]
