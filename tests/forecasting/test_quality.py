"""What forecasts are worth on generated loads: coverage, seasonality, ensemble, robustness."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.forecasting import PeakForecaster, SeasonalForecaster

F64 = NDArray[np.float64]
MINUTE = 60_000
ROW = np.zeros(1, dtype=np.int64)
LEVELS = [0.5, 0.9, 0.99]


def follow(values: F64, horizons: list[int], every: int, start: int, model: str = "ensemble") -> F64:
    """Forecasts `[time, horizon, level]` made each `every` minutes from `start` on."""
    bank = SeasonalForecaster()
    bank.grow(1)
    at = MINUTE * np.arange(len(values), dtype=np.int64)
    told = []
    done = 0
    for minute in range(start, len(values) - max(horizons), every):
        part = slice(done, minute + 1)
        bank.update(np.zeros(minute + 1 - done, dtype=np.int64), at[part], values[part])
        done = minute + 1
        told.append(bank.forecast(ROW, [MINUTE * step for step in horizons], LEVELS, model=model)[0])
    return np.array(told)


def truth(values: F64, horizons: list[int], every: int, start: int) -> F64:
    made = np.arange(start, len(values) - max(horizons), every)
    return np.stack([values[made + step] for step in horizons], axis=1)


def pinball(told: F64, came: F64) -> F64:
    """Mean loss by horizon."""
    gap = came[:, :, None] - told
    levels = np.array(LEVELS)
    loss: F64 = np.where(gap >= 0, levels * gap, (levels - 1) * gap).mean(axis=(0, 2))
    return loss


def noise(rng: np.random.Generator, kind: str, count: int) -> F64:
    if kind == "heavy":
        return np.asarray(rng.standard_t(3, count))
    if kind == "skewed":
        return np.asarray(rng.exponential(1.0, count))
    return rng.standard_normal(count)


@pytest.mark.parametrize("kind", ["gaussian", "heavy", "skewed"])
def test_quantiles_cover_what_they_say(kind: str) -> None:
    rng = np.random.default_rng(5)
    minute = np.arange(6 * 1440)
    values = 200 + 80 * np.sin(minute / 1440 * 2 * np.pi) + 10 * noise(rng, kind, len(minute))
    horizons = [1, 5, 30, 120]
    told, came = (f(values, horizons, 7, 2 * 1440) for f in (follow, truth))
    covered = (came[:, :, None] <= told).mean(axis=0)
    # Three standard errors of 822 tries, some of which overlap.
    assert (np.abs(covered - LEVELS) < [0.055, 0.035, 0.012]).all()


def test_day_ahead_beats_persistence_where_there_is_a_day() -> None:
    rng = np.random.default_rng(6)
    minute = np.arange(8 * 1440)
    values = 200 + 80 * np.sin(minute / 1440 * 2 * np.pi) + 5 * rng.standard_normal(len(minute))
    horizons = [60, 360, 720]
    came = truth(values, horizons, 31, 3 * 1440)
    ours = pinball(follow(values, horizons, 31, 3 * 1440), came)
    persistence = pinball(follow(values, horizons, 31, 3 * 1440, "persistence"), came)
    assert (ours < [0.5, 0.2, 0.2] * persistence).all()


def test_weekend_is_learnt_from_the_week_before() -> None:
    rng = np.random.default_rng(7)
    minute = np.arange(22 * 1440, step=5)
    height = np.where(minute // 1440 % 7 < 5, 100.0, 30.0)
    values = 50 + height * (1 + np.sin(minute / 1440 * 2 * np.pi)) + 2 * rng.standard_normal(len(minute))
    bank = SeasonalForecaster()
    bank.grow(1)
    friday = 18 * 288 + 287  # the end of the third Friday
    rows = np.zeros(friday + 1, dtype=np.int64)
    bank.update(rows, MINUTE * minute[: friday + 1], values[: friday + 1])
    ahead = [MINUTE * 60 * hours for hours in (4, 6, 8)]
    told = bank.forecast(ROW, ahead, [0.5])[0, :, 0]
    came = np.array([values[friday + 12 * hours] for hours in (4, 6, 8)])
    weekday = np.array([values[friday - 288 + 12 * hours] for hours in (4, 6, 8)])
    assert (np.abs(told - came) < 0.5 * np.abs(weekday - came)).all()


@pytest.mark.parametrize("shape", ["walk", "daily", "noise"])
def test_ensemble_is_close_to_its_best_member(shape: str) -> None:
    rng = np.random.default_rng(8)
    minute = np.arange(6 * 1440)
    steps = rng.standard_normal(len(minute))
    values = {
        "walk": 500 + np.cumsum(steps),
        "daily": 200 + 80 * np.sin(minute / 1440 * 2 * np.pi) + 5 * steps,
        "noise": 200 + 20 * steps,
    }[shape]
    horizons = [1, 10, 60, 360]
    came = truth(values, horizons, 13, 2 * 1440)
    losses = {
        model: pinball(follow(values, horizons, 13, 2 * 1440, model), came)
        for model in ("ensemble", "persistence", "seasonal-naive", "regression")
    }
    best = np.minimum.reduce([losses[model] for model in losses if model != "ensemble"])
    assert (losses["ensemble"] <= 1.15 * best).all()


@pytest.mark.parametrize("period", [40.5, 97.0])
def test_a_period_that_no_clock_tells_is_found(period: float) -> None:
    rng = np.random.default_rng(12)
    minute = np.arange(3 * 1440)
    values = 200 + 50 * np.sin(2 * np.pi * minute / period) + 8 * rng.standard_normal(len(minute))
    horizons = [10, 60, 200]
    came = truth(values, horizons, 13, 2 * 1440)
    ours = pinball(follow(values, horizons, 13, 2 * 1440), came)
    yesterday = pinball(follow(values, horizons, 13, 2 * 1440, "seasonal-naive"), came)
    assert (ours < 0.5 * yesterday).all()
    bank = SeasonalForecaster()
    bank.grow(1)
    bank.update(np.zeros(len(minute), dtype=np.int64), MINUTE * minute, values)
    found = bank.period_ms(0)
    assert found is not None
    assert found == pytest.approx(period * MINUTE, rel=0.005)
    # An hour of silence: the phase is not known any more.
    bank.update(ROW, MINUTE * minute[-1:] + 60 * MINUTE, values[-1:])
    assert bank.period_ms(0) is None


@pytest.mark.parametrize("shape", ["noise", "walk"])
def test_no_period_is_seen_where_there_is_none(shape: str) -> None:
    steps = np.random.default_rng(13).standard_normal(3 * 1440)
    values = 500 + 5 * (np.cumsum(steps) if shape == "walk" else 10 * steps)
    bank = SeasonalForecaster()
    bank.grow(1)
    for start in range(0, len(values), 256):
        part = slice(start, start + 256)
        times = MINUTE * np.arange(start, start + len(values[part]))
        bank.update(np.zeros(len(times), dtype=np.int64), times, values[part])
        assert bank.period_ms(0) is None


def test_a_load_that_begins_after_days_of_nothing_is_forecast_within_the_hour() -> None:
    rng = np.random.default_rng(14)
    values = np.concatenate([np.zeros(4 * 1440), 1e5 * (1 + 0.05 * rng.standard_normal(240))])
    at = MINUTE * np.arange(len(values), dtype=np.int64)
    seasonal, peak = SeasonalForecaster(), PeakForecaster(startup_ms=120_000)
    seasonal.grow(1)
    peak.grow(1)
    start = 4 * 1440 + 60
    seasonal.update(np.zeros(start, dtype=np.int64), at[:start], values[:start])
    peak.update(np.zeros(start, dtype=np.int64), at[:start], values[:start])
    near, high = [], []
    for minute in range(start, len(values)):
        seasonal.update(ROW, at[minute : minute + 1], values[minute : minute + 1])
        peak.update(ROW, at[minute : minute + 1], values[minute : minute + 1])
        near.append(seasonal.forecast(ROW, [MINUTE, 10 * MINUTE], [0.5])[0, :, 0])
        high.append(peak.forecast(ROW, [0.5, 0.99]).peak[0])
    assert (np.abs(np.median(near, axis=0) - 1e5) < 0.1e5).all()
    assert np.abs(np.array(near) - 1e5).max() < 1e5
    assert 0.95e5 < np.median(high, axis=0)[0] < 1.2e5
    assert np.median(high, axis=0)[1] < 2e5


def test_level_shift_is_followed_within_the_hour() -> None:
    rng = np.random.default_rng(9)
    values = np.concatenate([np.full(2 * 1440, 100.0), np.full(60, 400.0)])
    values += 3 * rng.standard_normal(len(values))
    bank = SeasonalForecaster()
    bank.grow(1)
    bank.update(np.zeros(len(values), dtype=np.int64), MINUTE * np.arange(len(values)), values)
    assert abs(bank.forecast(ROW, [5 * MINUTE], [0.5])[0, 0, 0] - 400) < 40


@pytest.mark.parametrize("kind", ["gaussian", "heavy", "skewed"])
def test_peak_quantiles_cover_what_they_say(kind: str) -> None:
    rng = np.random.default_rng(10)
    count, start = 8 * 1440, 2 * 1440
    minute = np.arange(count)
    values = 200 + 80 * np.sin(minute / 1440 * 2 * np.pi) + 10 * noise(rng, kind, count)
    bank = PeakForecaster(startup_ms=120_000)
    bank.grow(1)
    at = MINUTE * minute.astype(np.int64)
    peak, ahead = [], []
    for i in range(count - 3):
        bank.update(ROW, at[i : i + 1], values[i : i + 1])
        told = bank.forecast(ROW, LEVELS)
        peak.append(values[i + 1 : i + 4].max() <= told.peak[0])
        ahead.append(values[i + 3] <= told.ahead[0])
    np.testing.assert_allclose(np.mean(peak[start:], axis=0), LEVELS, atol=0.02)
    np.testing.assert_allclose(np.mean(ahead[start:], axis=0), LEVELS, atol=0.02)
    skill = bank.skill(0)
    assert skill is not None
    assert skill > 0.1


def test_peak_learns_what_comes_at_the_same_minute_of_the_hour() -> None:
    rng = np.random.default_rng(11)
    minute = np.arange(3 * 1440)
    values = 100 + 100.0 * (minute % 60 < 2) + rng.standard_normal(len(minute))
    bank = PeakForecaster(startup_ms=120_000)
    bank.grow(1)
    stop = 3 * 1440 - 2  # two minutes before the hour: the job starts with the third sample ahead
    at = MINUTE * minute[:stop].astype(np.int64)
    bank.update(np.zeros(stop, dtype=np.int64), at, values[:stop])
    assert bank.forecast(ROW, [0.5]).ahead[0, 0] > 160
    bank.update(ROW, at[-1:] + 20 * MINUTE, values[30:31])
    assert bank.forecast(ROW, [0.5]).ahead[0, 0] < 120
