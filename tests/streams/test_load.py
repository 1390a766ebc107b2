"""The load of a target is the sum of its series, and each interval is told once."""

from hypothesis import given
from hypothesis import strategies as st

from streams.load import LoadSum, Tick

STEP = 15_000


def test_one_series_is_told_at_once_after_the_first_minute() -> None:
    load = LoadSum(interval_ms=STEP)
    assert load.add("a", 0, 5.0) == []
    assert load.add("a", 60_000, 7.0) == [Tick(0, 5.0), Tick(60_000, 7.0)]
    assert load.add("a", 75_000, 9.0) == [Tick(75_000, 9.0)]


def test_the_sum_waits_for_every_active_series() -> None:
    load = LoadSum(interval_ms=STEP)
    load.add("a", 0, 1.0)
    load.add("b", 1_000, 1.0)
    for at in range(15_000, 75_000, STEP):
        load.add("a", at, 10.0)
        load.add("b", at + 1_000, 20.0)
    assert load.add("a", 75_000, 10.0) == []
    assert load.add("b", 76_000, 20.0) == [Tick(76_000, 30.0)]


def test_no_part_of_the_load_is_told_before_all_series_are_known() -> None:
    load = LoadSum(interval_ms=STEP)
    ticks = load.add("a", 0, 1.0) + load.add("a", STEP, 1.0)
    ticks += [tick for series in "bc" for at in (0, STEP) for tick in load.add(series, at, 10.0)]
    assert ticks == []
    ticks = [tick for at in (60_000, 75_000) for series in "abc" for tick in load.add(series, at, 7.0)]
    assert [tick.load for tick in ticks] == [21.0, 21.0, 21.0, 21.0]


def test_a_silent_series_counts_with_its_last_value_and_then_no_more() -> None:
    load = LoadSum(interval_ms=STEP, lateness_ms=30_000, idle_ms=120_000)
    load.add("a", 0, 1.0)
    load.add("b", 1_000, 4.0)
    ticks = [tick for i in range(1, 21) for tick in load.add("a", STEP * i, 1.0)]
    assert ticks[0].load == 5.0
    assert ticks[-1] == Tick(STEP * 20, 1.0)


def test_a_rolling_update_is_not_a_rise_of_the_load() -> None:
    load = LoadSum(interval_ms=STEP)
    pods = ["a0", "b0", "c0", "d0"]
    told = []
    for step in range(80):
        if step in (40, 44, 48, 52):  # one after the other is replaced
            pods[(step - 40) // 4] = pods[(step - 40) // 4][0] + "1"
        for pod in pods:
            told += [tick.load for tick in load.add(pod, STEP * step, 25.0)]
    assert len(told) >= 79
    assert set(told) == {100.0}


def test_a_missed_scrape_is_not_a_fall_of_the_load() -> None:
    load = LoadSum(interval_ms=STEP)
    told = []
    for step in range(60):
        for pod in "abcd":
            if not (pod == "b" and step in (30, 31)):
                told += [tick.load for tick in load.add(pod, STEP * step, 25.0)]
    assert set(told) == {100.0}


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
