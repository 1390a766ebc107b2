"""The load of a target is the sum of its series, and each interval is told once."""

from hypothesis import given
from hypothesis import strategies as st

from streams.load import LoadSum, Tick

STEP = 15_000


def test_one_series_is_told_at_once() -> None:
    load = LoadSum(interval_ms=STEP)
    assert load.add("a", 0, 5.0) == [Tick(0, 5.0)]
    assert load.add("a", 60_000, 7.0) == [Tick(60_000, 7.0)]


def test_the_sum_waits_for_every_active_series() -> None:
    load = LoadSum(interval_ms=STEP)
    load.add("a", 0, 1.0)
    load.add("b", 1_000, 1.0)
    assert load.add("a", 15_000, 10.0) == []
    assert load.add("b", 16_000, 20.0) == [Tick(16_000, 30.0)]


def test_a_silent_series_counts_with_its_last_value_and_then_no_more() -> None:
    load = LoadSum(interval_ms=STEP, lateness_ms=30_000, idle_ms=120_000)
    load.add("a", 0, 1.0)
    load.add("b", 1_000, 4.0)
    ticks = [tick for i in range(1, 21) for tick in load.add("a", STEP * i, 1.0)]
    assert ticks[0].load == 5.0
    assert ticks[-1] == Tick(STEP * 20, 1.0)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=80),
)
def test_intervals_are_told_in_order_and_once(samples: list[tuple[str, int]]) -> None:
    load = LoadSum(interval_ms=STEP, lateness_ms=30_000)
    seen: dict[str, int] = {}
    told: list[int] = []
    for series, step in samples:
        ts = step * 5_000
        if ts > seen.get(series, -1):  # admission lets no older sample of a series through
            seen[series] = ts
            told += [tick.ts // STEP for tick in load.add(series, ts, 1.0)]
    assert told == sorted(set(told))
