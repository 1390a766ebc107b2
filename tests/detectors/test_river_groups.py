"""River's models over groups: values joined in time, one verdict per joint sample."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from river.base import AnomalyDetector

from detectors.budget import Budget
from detectors.port import F64, I64, Scores, UnknownDetectorError
from detectors.registry import make_group_bank
from detectors.river_groups import RiverGroupBank
from detectors.tuned import TunedGroupBank

HST = "river.anomaly.HalfSpaceTrees"
KEY = b"the key of this worker, long enough"
MINUTE = 60_000
GROUP = 9  # the row of the group; its series are rows 0, 1, ...


def bank_of(series: int, group: int = GROUP, **params: object) -> TunedGroupBank:
    bank = make_group_bank(HST, params, alarms_per_series_day=1.0, key=KEY)
    bank.grow(GROUP + 1)
    for row in range(series):
        bank.join(row, group, f"series-{row}")
    return bank


def interleaved(table: F64) -> tuple[I64, I64, F64]:
    """Rows, times and values of a table of ticks by series, tick by tick."""
    ticks, series = table.shape
    return np.tile(np.arange(series), ticks), np.repeat(MINUTE * np.arange(ticks), series), table.ravel()


def twins(ticks: int, seed: int = 1) -> F64:
    """Two series that move together over a wide range, each value usual on its own."""
    rng = np.random.default_rng(seed)
    common = rng.integers(0, 2, ticks) * 100.0
    return np.stack([common, common], axis=1) + rng.normal(0.0, 3.0, (ticks, 2))


def test_what_is_odd_only_together_is_found() -> None:
    table = twins(800)
    table[700] = (100.0, 0.0)  # usual values, never in this combination
    params = {"n_trees": 15, "height": 5, "window_size": 150}
    joint = bank_of(2, **params).update(*interleaved(table)).alarm[1::2]
    assert joint[700]
    assert joint[400:].sum() <= 3
    apart = bank_of(2, **params)
    for row in range(2):
        apart.join(row, row, "alone")  # each a group of its own
    assert not apart.update(*interleaved(table)).alarm[1400:1402].any()


def test_a_new_series_begins_the_model_anew() -> None:
    table = twins(400)
    rows, times, values = interleaved(table)
    late = (rows == 1) & (times < 200 * MINUTE)
    scores = bank_of(2, window_size=50).update(rows[~late], times[~late], values[~late])
    learning = scores.learning
    assert not learning[150:200].any()
    assert learning[210:300].any()
    assert not learning[-20:].any()


def test_one_verdict_for_each_joint_sample_at_the_value_that_completes_it() -> None:
    scores = bank_of(3).update(*interleaved(np.random.default_rng(2).normal(size=(200, 3))))
    judged = ~np.isnan(scores.score).reshape(200, 3)
    assert judged[2:].sum(axis=1).tolist() == [1] * 198
    assert judged[2:, 2].all()


def test_values_some_seconds_apart_are_one_sample() -> None:
    rows, times, values = interleaved(np.random.default_rng(3).normal(size=(200, 3)))
    aligned = bank_of(3).update(rows, times, values)
    jittered = bank_of(3).update(rows, times + 7_000 * rows, values)
    begun = 3 * 3
    np.testing.assert_array_equal(np.isnan(aligned.score[begun:]), np.isnan(jittered.score[begun:]))


def test_a_late_series_is_not_waited_for_longer_than_a_sample() -> None:
    rows, times, values = interleaved(np.random.default_rng(4).normal(size=(200, 2)))
    there = np.ones(400, np.bool_)
    there[201:400:2] = False  # the second series falls silent at tick 100
    scores = bank_of(2).update(rows[there], times[there], values[there])
    verdicts = ~np.isnan(scores.score[200:])
    assert verdicts[1:].all()  # first with its last value, then without it
    assert not scores.errors


def test_scaling_and_order_of_units_do_not_matter() -> None:
    table = twins(800)
    plain = bank_of(2).update(*interleaved(table))
    changed = bank_of(2).update(*interleaved(table * (1024.0, 0.125) + (0.0, 64.0)))
    same = np.isclose(plain.score, changed.score, atol=1e-3, equal_nan=True)
    assert same.mean() > 0.98  # a float may fall on the other side of a tree's split


def test_batches_do_not_matter_and_the_future_changes_nothing() -> None:
    rows, times, values = interleaved(twins(300))
    whole = bank_of(2).update(rows, times, values)
    bank = bank_of(2)
    parts: list[Scores] = [
        bank.update(rows[a:b], times[a:b], values[a:b]) for a, b in pairwise([0, 1, 77, 300, 301, 600])
    ]
    np.testing.assert_array_equal(whole.score, np.concatenate([part.score for part in parts]))
    np.testing.assert_array_equal(
        bank_of(2).update(rows[:333], times[:333], values[:333]).score, whole.score[:333]
    )


def test_a_group_continues_where_it_was_dumped() -> None:
    rows, times, values = interleaved(twins(300))
    bank, copy = bank_of(2), bank_of(2)
    bank.update(rows[:301], times[:301], values[:301])  # in the middle of a joint sample
    copy.load(0, GROUP + 1, bank.dump(0, GROUP + 1))
    np.testing.assert_array_equal(
        copy.update(rows[301:], times[301:], values[301:]).score,
        bank.update(rows[301:], times[301:], values[301:]).score,
    )


def test_a_missing_value_is_a_late_one() -> None:
    table = twins(200)
    table[120, 1] = np.nan
    scores = bank_of(2).update(*interleaved(table))
    assert np.isnan(scores.score[[240, 241]]).all()
    assert not np.isnan(scores.score[242])  # judged with its last value when the next sample begins
    assert not scores.alarm[[240, 241]].any()


class Slow(AnomalyDetector):
    """Takes a hundred times its budget."""

    spent = 0.0

    def learn_one(self, x: dict[Any, Any]) -> None:
        Slow.spent += 0.5

    def score_one(self, x: dict[Any, Any]) -> float:
        return 0.5


def test_a_slow_model_holds_up_no_other_group() -> None:
    budget = Budget(0.005, lambda: Slow.spent)
    bank = RiverGroupBank("slow", Slow, alarms_per_series_day=1.0, key=KEY, budget=budget)
    bank.grow(1)
    count = 400
    scores = bank.update(np.zeros(count, np.int64), MINUTE * np.arange(count), np.arange(float(count)))
    assert scores.unscored == np.isnan(scores.score).sum() > 300


@pytest.mark.parametrize("model", ["river.drift.ADWIN", "tidegate", "ewma-z"])
def test_a_model_of_single_series_is_refused(model: str) -> None:
    with pytest.raises(UnknownDetectorError, match="cannot watch groups"):
        make_group_bank(model)
