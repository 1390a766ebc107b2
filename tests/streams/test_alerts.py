"""The alert lifecycle: opens, fires, resolves, flaps; in event time, whatever the batches."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.alerts import AlertBook, Transition, fingerprint
from streams.config import AlertConfig
from streams.rules import Rules

MINUTE = 60_000


def _run(
    config: AlertConfig, steps: list[tuple[int, bool, bool]], cuts: tuple[int, ...] = ()
) -> list[Transition]:
    """Feed (minute, alarm, outside) of one series, cut into batches before the indices in `cuts`."""
    book = AlertBook(Rules(config))
    book.grow(1)
    changes: list[Transition] = []
    edges = [0, *cuts, len(steps)]
    for first, last in itertools.pairwise(edges):
        part = steps[first:last]
        times = np.array([minute * MINUTE for minute, _, _ in part], np.int64)
        alarm = np.array([a for _, a, _ in part], np.bool_)
        outside = np.array([o for _, _, o in part], np.bool_)
        changes += book.step(np.zeros(len(part), np.int64), times, alarm, outside)
    return changes


def _told(changes: list[Transition]) -> list[tuple[str, int]]:
    return [(change.state, change.changed_at // MINUTE) for change in changes]


def test_an_alarm_fires_and_resolves_after_quiet() -> None:
    steps = [(0, False, False), (1, True, True), *((m, False, False) for m in range(2, 30))]
    assert _told(_run(AlertConfig(resolve_after_s=600), steps)) == [("firing", 1), ("resolved", 11)]


def test_for_duration_holds_it_pending_first() -> None:
    config = AlertConfig(for_s=180, resolve_after_s=600)
    steps = [(1, True, True), (2, False, True), (3, False, True), (4, False, True), (5, False, True)]
    assert _told(_run(config, steps)) == [("pending", 1), ("firing", 4)]


def test_a_spike_shorter_than_the_for_duration_never_fires() -> None:
    config = AlertConfig(for_s=180, resolve_after_s=120)
    steps = [(1, True, True), (2, False, False), (3, False, False), (4, False, False)]
    assert _told(_run(config, steps)) == [("pending", 1), ("resolved", 3)]


def test_samples_outside_the_band_keep_it_firing_without_new_alarms() -> None:
    steps = [(0, True, True), *((m, False, True) for m in range(1, 60)), (75, False, False)]
    changes = _run(AlertConfig(resolve_after_s=900), steps)
    assert _told(changes) == [("firing", 0), ("resolved", 75)]
    assert changes[-1].anomalies == 1


def test_many_firings_within_the_window_are_marked_flapping() -> None:
    config = AlertConfig(resolve_after_s=60, flap_limit=3, flap_window_s=3600)
    steps = [(m, m % 5 == 0, False) for m in range(25)]
    fired = [change for change in _run(config, steps) if change.state == "firing"]
    assert [change.suppressed for change in fired] == [None, None, "flapping", "flapping", "flapping"]


def test_series_do_not_touch_each_other() -> None:
    book = AlertBook(Rules(AlertConfig()))
    book.grow(3)
    rows = np.array([0, 1, 2, 0, 1, 2], np.int64)
    alarm = np.array([False, True, False, False, False, False])
    changes = book.step(rows, np.arange(6, dtype=np.int64), alarm, np.zeros(6, np.bool_))
    assert [(change.row, change.state) for change in changes] == [(1, "firing")]


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60),
    st.sets(st.integers(1, 59), max_size=6),
)
def test_the_changes_do_not_depend_on_how_samples_are_batched(
    flags: list[tuple[bool, bool]], cuts: set[int]
) -> None:
    config = AlertConfig(for_s=60, resolve_after_s=180, flap_limit=2)
    steps = [(m, alarm, outside) for m, (alarm, outside) in enumerate(flags)]
    inside = tuple(sorted(cut for cut in cuts if cut < len(steps)))
    assert _told(_run(config, steps, inside)) == _told(_run(config, steps))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_firing_and_resolved_alternate(flags: list[tuple[bool, bool]]) -> None:
    steps = [(m, alarm, outside) for m, (alarm, outside) in enumerate(flags)]
    states = [state for state, _ in _told(_run(AlertConfig(resolve_after_s=120), steps))]
    assert states == ["firing", "resolved"] * (len(states) // 2) + ["firing"] * (len(states) % 2)


def test_grown_rows_keep_what_is_known() -> None:
    book = AlertBook(Rules(AlertConfig(resolve_after_s=60)))
    book.grow(1)
    row, no = np.zeros(1, np.int64), np.zeros(1, np.bool_)
    book.step(row, np.array([0], np.int64), ~no, no)
    book.grow(1000)
    assert [c.state for c in book.step(row, np.array([60_000], np.int64), no, no)] == ["resolved"]


@pytest.mark.parametrize("other", ['a{x="2"}', 'b{x="1"}'])
def test_fingerprints_tell_series_apart(other: str) -> None:
    assert fingerprint('a{x="1"}') == fingerprint('a{x="1"}') != fingerprint(other)
