"""One suite over every forecaster: what a caller may rely on whichever is named."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from river.checks import check_estimator

from detectors.forecasting import (
    ForecasterStateError,
    PeakForecaster,
    SeasonalForecaster,
    UnknownForecasterError,
    known_forecasters,
    make_forecaster,
)
from detectors.forecasting.river_face import Seasonal

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
MINUTE = 60_000
LEVELS = [0.05, 0.5, 0.9, 0.99]
HORIZONS = [MINUTE, 7 * MINUTE, 90 * MINUTE, 1440 * MINUTE]

Bank = SeasonalForecaster | PeakForecaster


def ask(bank: Bank, rows: I64) -> F64:
    """Everything a bank says of the rows: `[row, number]`."""
    if isinstance(bank, PeakForecaster):
        peaks = bank.forecast(rows, LEVELS)
        return np.concatenate([peaks.peak, peaks.ahead], axis=1)
    return bank.forecast(rows, HORIZONS, LEVELS).reshape(len(rows), -1)


def load(count: int, seed: int = 0) -> F64:
    """A noisy daily pattern with hourly spikes."""
    rng = np.random.default_rng(seed)
    minute = np.arange(count)
    shape = 100 + 60 * np.sin(minute / 1440 * 2 * np.pi) + 40 * (minute % 60 < 3)
    return np.asarray(shape * (1 + 0.05 * rng.standard_normal(count)))


def times(count: int) -> I64:
    return 1_700_000_040_000 + MINUTE * np.arange(count, dtype=np.int64)


def learn(bank: Bank, values: F64, row: int = 0, start: int = 0) -> None:
    at = times(start + len(values))[start:]
    bank.update(np.full(len(values), row, dtype=np.int64), at, values)


MAKERS: dict[str, Callable[[], Bank]] = {
    "seasonal": SeasonalForecaster,
    "peak": lambda: PeakForecaster(startup_ms=120_000),
}
ROW = np.zeros(1, dtype=np.int64)


@pytest.fixture(params=sorted(MAKERS))
def make(request: pytest.FixtureRequest) -> Callable[[], Bank]:
    """A maker of banks with one row."""
    build = MAKERS[request.param]

    def made() -> Bank:
        bank = build()
        bank.grow(1)
        return bank

    return made


def test_is_deterministic(make: Callable[[], Bank]) -> None:
    first, second = make(), make()
    for bank in (first, second):
        learn(bank, load(3000))
    np.testing.assert_array_equal(ask(first, ROW), ask(second, ROW))


def test_quantiles_ascend_and_are_finite(make: Callable[[], Bank]) -> None:
    bank = make()
    values = load(3000)
    for start in range(0, 3000, 500):
        learn(bank, values[start : start + 500], start=start)
        told = ask(bank, ROW).reshape(-1, len(LEVELS))
        assert np.isfinite(told).all()
        assert (np.diff(told, axis=1) >= 0).all()


def test_does_not_look_ahead(make: Callable[[], Bank]) -> None:
    prefix = load(2000)
    told = []
    for future in (np.zeros(500), np.full(500, 1e6)):
        bank = make()
        whole = np.concatenate([prefix, future])
        answers = []
        for minute in range(1900, 2000, 20):
            fresh = make()
            learn(fresh, whole[:minute])
            answers.append(ask(fresh, ROW))
        learn(bank, prefix)
        answers.append(ask(bank, ROW))
        told.append(np.concatenate(answers))
        learn(bank, future, start=2000)
    np.testing.assert_array_equal(told[0], told[1])


def test_batches_and_neighbours_do_not_matter(make: Callable[[], Bank]) -> None:
    alone = make()
    learn(alone, load(1500))
    crowd = make()
    crowd.grow(3)
    own, other = load(1500), load(1500, seed=9)
    for minute in range(0, 1500, 7):
        stop = min(minute + 7, 1500)
        at = np.repeat(times(1500)[minute:stop], 2)
        rows = np.tile(np.array([2, 0], dtype=np.int64), stop - minute)
        values = np.stack([own[minute:stop], other[minute:stop]], axis=1).ravel()
        crowd.update(rows, at, values)
    np.testing.assert_array_equal(ask(alone, ROW), ask(crowd, np.array([2])))


def test_missing_values_change_nothing(make: Callable[[], Bank]) -> None:
    clean, holed = make(), make()
    values, at = load(1500), times(1500)
    clean.update(np.zeros(1500, dtype=np.int64), at, values)
    for minute in range(1500):
        if minute % 5 == 0:
            for nothing in (np.nan, np.inf, -np.inf):
                holed.update(ROW, at[minute : minute + 1] - 1, np.array([nothing]))
        holed.update(ROW, at[minute : minute + 1], values[minute : minute + 1])
    np.testing.assert_array_equal(ask(clean, ROW), ask(holed, ROW))


def test_replay_changes_nothing(make: Callable[[], Bank]) -> None:
    bank = make()
    learn(bank, load(1500))
    before = ask(bank, ROW)
    learn(bank, load(1500))
    np.testing.assert_array_equal(ask(bank, ROW), before)


def test_lives_through_gaps_and_jitter(make: Callable[[], Bank]) -> None:
    rng = np.random.default_rng(3)
    at = times(5990) + rng.integers(-5_000, 5_000, 5990)
    kept = rng.random(5990) > 0.1
    kept[2500:2900] = False
    bank = make()
    values = load(5990)
    bank.update(np.zeros(kept.sum(), dtype=np.int64), at[kept], values[kept])
    told = ask(bank, ROW).reshape(-1, len(LEVELS))
    assert np.isfinite(told).all()
    assert abs(bank.cadence_ms(0) / MINUTE - 1) < 0.35
    assert abs(told[0, 1] - values[-1]) < 40  # the median, ten minutes before the next spike


def test_unit_does_not_matter(make: Callable[[], Bank]) -> None:
    one, thousand = make(), make()
    learn(one, load(3000))
    learn(thousand, 1024.0 * load(3000))
    np.testing.assert_allclose(ask(thousand, ROW), 1024.0 * ask(one, ROW), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 5.0, -5.0, 1e-12, 1e12])
def test_constant_series_is_forecast_as_constant(make: Callable[[], Bank], value: float) -> None:
    bank = make()
    learn(bank, np.full(2000, value))
    np.testing.assert_allclose(ask(bank, ROW)[:, 1], value, rtol=0.01, atol=1e-9)


def test_state_is_constant_and_goes_round(make: Callable[[], Bank]) -> None:
    bank = make()
    bank.grow(2)
    learn(bank, load(100), row=1)
    small = len(bank.dump(0, 2))
    learn(bank, load(4000), row=1, start=100)
    data = bank.dump(1, 2)
    assert len(bank.dump(0, 2)) == small
    assert len(data) <= bank.row_bytes + 64
    other = make()
    other.load(0, 1, data)
    np.testing.assert_array_equal(ask(other, ROW), ask(bank, np.array([1])))
    learn(bank, load(50, seed=4), row=1, start=5000)
    learn(other, load(50, seed=4), start=5000)
    np.testing.assert_array_equal(ask(other, ROW), ask(bank, np.array([1])))


def test_refuses_foreign_state(make: Callable[[], Bank]) -> None:
    bank = make()
    with pytest.raises(ForecasterStateError, match="expected"):
        bank.load(0, 1, b"other/9/1\nx")
    with pytest.raises(ForecasterStateError, match="bytes"):
        bank.load(0, 1, bank.dump(0, 1)[:-1])


def test_fresh_and_reset_rows_know_nothing(make: Callable[[], Bank]) -> None:
    bank = make()
    assert np.isnan(ask(bank, ROW)).all()
    learn(bank, load(500))
    bank.reset(0)
    assert np.isnan(ask(bank, ROW)).all()


def test_refuses_bad_batches(make: Callable[[], Bank]) -> None:
    bank = make()
    with pytest.raises(IndexError, match="grow"):
        learn(bank, load(1), row=1)
    with pytest.raises(ValueError, match="lengths differ"):
        bank.update(ROW, times(2), np.zeros(1))
    with pytest.raises(IndexError, match="grow"):
        ask(bank, np.array([1]))


def test_both_faces_agree() -> None:
    bank = SeasonalForecaster()
    bank.grow(1)
    values = load(2000)
    bank.update(np.zeros(2000, dtype=np.int64), MINUTE * np.arange(2000, dtype=np.int64), values)
    face = Seasonal(cadence_s=60, level=0.9)
    for value in values:
        face.learn_one(float(value))
    many = bank.forecast(ROW, [MINUTE * step for step in (1, 2, 3)], [0.9])[0, :, 0]
    np.testing.assert_array_equal(face.forecast(horizon=3), many)


@pytest.mark.parametrize("name", known_forecasters())
def test_named_forecasters_are_river_estimators(name: str) -> None:
    params: dict[str, object] = {}
    if name.endswith("HoltWinters"):
        params = {"alpha": 0.3}
    if name.endswith("SNARIMAX"):
        params = {"p": 2, "d": 1, "q": 1}
    model = make_forecaster(name, params)
    if not name.startswith("river."):
        check_estimator(model)
    for minute in range(200):
        model.learn_one(10.0 + minute % 5)
    told = model.forecast(horizon=4)
    assert len(told) == 4
    assert np.isfinite(told).all()


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(UnknownForecasterError, match=r"seasonal.*river\.time_series\.HoltWinters"):
        make_forecaster("prophet")
    with pytest.raises(UnknownForecasterError, match="cadence_s"):
        make_forecaster("seasonal", {"cadence": 60})
    with pytest.raises(UnknownForecasterError, match="refuses"):
        make_forecaster("seasonal", {"cadence_s": -1})
