"""Series that fall silent: when, and whatever the batches."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.ingest import NEVER
from streams.silent import GONE, HEARD, SILENT, Change, Watch

LIMIT, GONE_AFTER = 10, 50


class Rows:
    """Three series, of which the last is not watched."""

    def __init__(self) -> None:
        self.watch = Watch(GONE_AFTER)
        self.last = np.full(3, NEVER, np.int64)
        self.limits = np.array([LIMIT, LIMIT, 0])
        self.state = np.zeros(3, np.uint8)

    def batch(self, samples: list[tuple[int, int]]) -> list[Change]:
        """Samples (row, time), ascending in time of each row, as one batch."""
        rows, times = (np.array(column, np.int64) for column in zip(*samples, strict=True))
        clock = np.maximum.accumulate(np.r_[self.watch.clock, times])
        self.watch.clock = int(clock[-1])
        changes = self.watch.heard(rows, times, self.last.copy(), clock[:-1], self.limits, self.state)
        np.maximum.at(self.last, rows, times)
        return changes + self.watch.passed(self.watch.clock, self.last, self.limits, self.state)

    def time(self, now: int) -> list[Change]:
        """It is `now`."""
        return self.watch.passed(now, self.last, self.limits, self.state)


def test_a_series_falls_silent_by_the_time_of_the_others_and_is_heard_again() -> None:
    rows = Rows()
    assert rows.batch([(0, 100), (1, 100), (2, 100), (1, 109)]) == []
    assert rows.batch([(1, 112)]) == [Change(0, True, 110)]
    assert rows.batch([(1, 120), (0, 121)]) == [Change(0, False, 121)]


def test_silence_within_one_batch_counts_too() -> None:
    changes = Rows().batch([(0, 100), (1, 100), (1, 110), (0, 111)])
    assert changes == [Change(0, True, 110), Change(0, False, 111)]


def test_time_alone_makes_silent_and_then_gone() -> None:
    rows = Rows()
    rows.batch([(0, 100)])
    assert not rows.watch.would_change(109, rows.last, rows.limits, rows.state)
    assert rows.watch.would_change(110, rows.last, rows.limits, rows.state)
    assert rows.time(130) == [Change(0, True, 110)]
    assert not rows.watch.would_change(149, rows.last, rows.limits, rows.state)
    assert rows.time(150) == [Change(0, False, 150)]
    assert rows.state.tolist() == [GONE, HEARD, HEARD]
    assert rows.time(10_000) == []
    assert rows.batch([(0, 10_001)]) == []


def test_a_late_clock_tells_the_same_times() -> None:
    rows = Rows()
    rows.batch([(0, 100)])
    assert rows.time(10_000) == [Change(0, True, 110), Change(0, False, 150)]


def test_a_series_that_is_not_watched_may_be_silent() -> None:
    rows = Rows()
    rows.batch([(2, 100)])
    assert rows.time(10_000) == []


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40)), min_size=1, max_size=40),
    st.sets(st.integers(1, 39)),
)
def test_batches_do_not_matter(steps: list[tuple[int, int]], cuts: set[int]) -> None:
    now, samples = 100, []
    for row, passed in steps:
        now += passed // 4
        samples.append((row, now))
    distinct = [s for i, s in enumerate(samples) if s not in samples[:i]]
    whole, parted = Rows(), Rows()
    expected = whole.batch(distinct)
    edges = [0, *sorted(cut for cut in cuts if cut < len(distinct)), len(distinct)]
    found: list[Change] = []
    for first, last in itertools.pairwise(edges):
        found += parted.batch(distinct[first:last])
    for row in range(3):
        assert [c for c in found if c.row == row] == [c for c in expected if c.row == row]
    assert parted.state.tolist() == whole.state.tolist()
    assert SILENT == 1  # what `streams.alerts.ROW` says
