"""One suite over every registered detector, native ones and River's."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import checks, datasets

from detectors.estimator import SeriesDetector
from detectors.port import F64, I64, Bank, Scores, StateError
from detectors.registry import known_models, make_bank, make_group_bank, native_models

KEY = b"a key of the test suite's own, 32 b"
MINUTE = 60_000
START = 1_700_000_000_000
SLOW = {"river.anomaly.LODA", "river.anomaly.LocalOutlierFactor"}
GROWING = {"river.anomaly.LocalOutlierFactor"}
GROUP_MODELS = ("river.anomaly.HalfSpaceTrees", "river.anomaly.OneClassSVM")
# Their thresholds are in the unit of the input, or they do not look at the input at all.
UNIT_BOUND = {"river.drift.PageHinkley", "river.drift.DummyDriftDetector", "river.drift.NoDrift"}

GROUPS = " over groups"  # of one series each, where nothing is joined


@pytest.fixture(params=(*known_models(), *(name + GROUPS for name in GROUP_MODELS)))
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=native_models())
def native(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def fresh(model: str, rows: int = 1) -> Bank:
    name = model.removesuffix(GROUPS)
    bank = make_bank(name, key=KEY) if name == model else make_group_bank(name, key=KEY)
    bank.grow(rows)
    return bank


def wave(count: int, seed: int = 1) -> tuple[I64, F64]:
    """Five-minute samples of a daily wave with noise, two spikes and a level shift."""
    rng = np.random.default_rng(seed)
    step = np.arange(count)
    values = 100.0 + 20.0 * np.sin(step * 2 * np.pi / 288) + rng.normal(0.0, 2.0, count)
    values[count // 3] += 90.0
    values[count // 2] -= 80.0
    values[3 * count // 4 :] += 60.0
    return START + 5 * MINUTE * step, values


def length(model: str) -> int:
    return 160 if model in SLOW else 900


def columns(scores: Scores) -> list[np.ndarray]:
    return [
        scores.score,
        scores.expected,
        scores.lower,
        scores.upper,
        scores.alarm,
        scores.learning,
        scores.evidence,
    ]


def assert_equal(one: Scores, other: Scores, where: slice | np.ndarray = np.s_[:]) -> None:
    for left, right in zip(columns(one), columns(other), strict=True):
        np.testing.assert_array_equal(left[where], right[where])


def run(bank: Bank, row: int, times: I64, values: F64) -> Scores:
    return bank.update(np.full(len(times), row, np.int64), times, values)


def test_the_same_input_gives_the_same_scores(model: str) -> None:
    times, values = wave(length(model))
    assert_equal(run(fresh(model), 0, times, values), run(fresh(model), 0, times, values))


def test_scores_and_evidence_are_in_their_ranges(model: str) -> None:
    times, values = wave(length(model))
    scores = run(fresh(model), 0, times, values)
    known = ~np.isnan(scores.score)
    assert known.mean() > 0.99
    assert (scores.score[known] >= 0.0).all()
    assert (scores.score[known] <= 1.0).all()
    assert (scores.evidence >= 0.0).all()
    assert scores.evidence.shape == (len(times), len(fresh(model).evidence))


def test_an_alarm_is_evidence_of_strength_one(model: str) -> None:
    times, values = wave(length(model))
    scores = run(fresh(model), 0, times, values)
    np.testing.assert_array_equal(scores.alarm, (scores.evidence >= 1.0).any(axis=1))
    assert not (scores.alarm & scores.learning).any()


@given(data=st.data())
@settings(max_examples=10, deadline=None)
@pytest.mark.parametrize("name", [*native_models(), "river.anomaly.HalfSpaceTrees", "river.drift.ADWIN"])
def test_neither_batches_nor_other_rows_matter(name: str, data: st.DataObject) -> None:
    count = 240
    series = [wave(count, seed) for seed in range(3)]
    rows = np.tile(np.arange(3), count)
    order = np.array(data.draw(st.permutations(range(3 * count)))) if data.draw(st.booleans()) else None
    if order is not None:  # any mix of rows, each row's samples in order
        rows = rows[order]
    position = np.zeros(len(rows), np.int64)
    for row in range(3):
        position[rows == row] = np.arange((rows == row).sum())
    times = np.array([series[r][0][p] for r, p in zip(rows, position, strict=True)])
    values = np.array([series[r][1][p] for r, p in zip(rows, position, strict=True)])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=6)))
    bank = fresh(name, 3)
    parts = [
        bank.update(rows[a:b], times[a:b], values[a:b])
        for a, b in zip([0, *cuts], [*cuts, len(rows)], strict=True)
    ]
    for row in range(3):
        alone = run(fresh(name), 0, *series[row])
        together = [np.concatenate(column) for column in zip(*map(columns, parts), strict=True)]
        for mixed, single in zip(together, columns(alone), strict=True):
            np.testing.assert_array_equal(mixed[rows == row], single)


def test_the_future_changes_no_score(model: str) -> None:
    times, values = wave(length(model))
    half = len(times) // 2
    other = values.copy()
    other[half:] = 1e6
    past = np.s_[:half]
    whole = run(fresh(model), 0, times, values)
    assert_equal(whole, run(fresh(model), 0, times, other), past)
    prefix = run(fresh(model), 0, times[:half], values[:half])
    for full, cut in zip(columns(whole), columns(prefix), strict=True):
        np.testing.assert_array_equal(full[:half], cut)


def test_a_missing_value_changes_nothing(model: str) -> None:
    times, values = wave(length(model))
    holes = np.insert(values, [50, 120], np.nan)
    when = np.insert(times, [50, 120], [times[50], times[120]])
    missing = np.isnan(holes)
    with_holes = run(fresh(model), 0, when, holes)
    assert np.isnan(with_holes.score[missing]).all()
    assert not with_holes.alarm[missing].any()
    without = run(fresh(model), 0, times, values)
    for gapped, whole in zip(columns(with_holes), columns(without), strict=True):
        np.testing.assert_array_equal(gapped[~missing], whole)


@pytest.mark.parametrize(("factor", "offset"), [(1024.0, 0.0), (1e-3, 0.0), (1.0, -4e4), (37.0, 1e5)])
def test_units_do_not_matter(model: str, factor: float, offset: float) -> None:
    if model in UNIT_BOUND:
        pytest.skip("its threshold is in the unit of the input")
    times, values = wave(length(model))
    plain = run(fresh(model), 0, times, values)
    changed = run(fresh(model), 0, times, factor * values + offset)
    same = np.isclose(plain.score, changed.score, atol=1e-3, equal_nan=True)
    # River's floats may round a sample across a tree's split; ours may at a pattern's bin.
    assert same.mean() > 0.98
    assert (plain.alarm == changed.alarm).mean() > 0.98
    known = ~np.isnan(plain.expected)
    reach = factor * np.ptp(values)
    for column in ("expected", "lower", "upper"):
        expected = factor * getattr(plain, column)[known] + offset
        np.testing.assert_allclose(getattr(changed, column)[known], expected, atol=2e-3 * reach)


def test_a_constant_series_never_alarms(model: str) -> None:
    if model == "river.drift.DummyDriftDetector":
        pytest.skip("alarms by the count, as its name says")
    count = length(model)
    scores = run(fresh(model), 0, wave(count)[0], np.full(count, 7.25))
    assert not scores.alarm.any()


def test_a_block_continues_where_it_was_dumped(model: str) -> None:
    times, values = wave(length(model))
    half = len(times) // 2
    bank = fresh(model, 3)
    run(bank, 1, times[:half], values[:half])
    copy = fresh(model, 5)
    copy.load(2, 5, bank.dump(0, 3))
    assert_equal(run(copy, 3, times[half:], values[half:]), run(bank, 1, times[half:], values[half:]))
    empty = run(fresh(model), 0, times, values)
    assert_equal(run(copy, 2, times, values), empty)


def test_reset_forgets(model: str) -> None:
    times, values = wave(length(model))
    bank = fresh(model, 2)
    run(bank, 0, times, values)
    bank.reset(0)
    assert_equal(run(bank, 0, times, values), run(fresh(model), 0, times, values))


def test_a_foreign_block_is_refused(model: str) -> None:
    bank = fresh(model, 2)
    other = next(
        name
        for name in known_models()
        if name != model and name.startswith("river") == model.startswith("river")
    )
    with pytest.raises(StateError, match="expected"):
        bank.load(0, 2, fresh(other, 2).dump(0, 2))
    with pytest.raises(StateError):
        bank.load(0, 2, bank.dump(0, 1))
    with pytest.raises(StateError):
        bank.load(0, 2, b"")


def test_rows_that_do_not_exist_are_refused(model: str) -> None:
    bank = fresh(model, 2)
    one = np.ones(1, np.int64)
    for call in _beyond(bank):
        with pytest.raises(IndexError, match="grow"):
            call()
    with pytest.raises(IndexError, match="grow"):
        bank.update(2 * one, one, np.ones(1))
    with pytest.raises(ValueError, match="lengths"):
        bank.update(0 * one, one, np.ones(2))


def _beyond(bank: Bank) -> list[Callable[[], object]]:
    block = bank.dump(0, 1)
    return [lambda: bank.reset(2), lambda: bank.dump(1, 3), lambda: bank.load(2, 3, block)]


def test_growing_keeps_what_was_learnt(native: str) -> None:
    times, values = wave(600)
    bank = fresh(native)
    run(bank, 0, times[:300], values[:300])
    before = bank.dump(0, 1)
    bank.grow(5000)
    assert bank.dump(0, 1) == before
    assert_equal(run(bank, 4999, times, values), run(fresh(native), 0, times, values))


def test_state_does_not_grow(native: str) -> None:
    times, values = wave(20_000)
    bank = fresh(native)
    run(bank, 0, times[:10], values[:10])
    size = len(bank.dump(0, 1))
    run(bank, 0, times[10:], values[10:])
    assert len(bank.dump(0, 1)) == size
    assert bank.row_bytes <= 1.3 * 1024


def test_memory_is_bounded(model: str) -> None:
    if model in GROWING:
        pytest.skip("keeps every sample it has learnt, in River itself")
    count = length(model)
    times, values = wave(3 * count)
    bank = fresh(model)
    sizes = []
    for start in range(0, 3 * count, count):
        run(bank, 0, times[start : start + count], values[start : start + count])
        sizes.append(len(bank.dump(0, 1)))
    assert sizes[2] <= 1.05 * sizes[1]


@pytest.mark.parametrize("seed", [1, 2])
def test_both_faces_give_the_same_scores(native: str, seed: int) -> None:
    times, values = wave(700, seed)
    many = run(fresh(native), 0, times, values)
    single = SeriesDetector(native, time_feature="ts")
    for i, (time, value) in enumerate(zip(times.tolist(), values.tolist(), strict=True)):
        sample = {"ts": time, "value": value}
        assert single.score_one(sample) == many.score[i]
        single.learn_one(sample)


class Generated:
    """Stands in for River's credit card data, which is not to be downloaded: noise, a few outliers."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(11)

    def take(self, count: int) -> list[tuple[dict[str, float], bool]]:
        samples = []
        for i in range(count):
            odd = i > 100 and self.rng.random() < 0.02
            noise = self.rng.normal(12.0 if odd else 0.0, 1.0, 4)
            samples.append(({f"f{k}": float(value) for k, value in enumerate(noise)}, odd))
        return samples


def river_checks() -> list[Callable[[SeriesDetector], None]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "CreditCard", Generated)
        return list(checks.yield_checks(SeriesDetector()))


@pytest.mark.parametrize("check", river_checks(), ids=lambda check: str(check.__name__))
def test_rivers_own_estimator_checks_pass(native: str, check: Callable[[SeriesDetector], None]) -> None:
    check(SeriesDetector(native))
