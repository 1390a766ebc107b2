"""The forecaster of one load, and River members in its ensemble."""

import numpy as np
import pytest

from detectors.forecasting import ForecasterStateError, LoadForecaster, UnknownForecasterError

MINUTE = 60_000
HOLT = {"holt": ("river.time_series.HoltWinters", {"alpha": 0.4, "beta": 0.1})}
BROKEN = {"wild": ("river.time_series.SNARIMAX", {"p": 3, "d": 1, "q": 1})}


def ramp(forecaster: LoadForecaster, minutes: int, start: int = 0) -> None:
    rng = np.random.default_rng(start)
    for minute in range(start, start + minutes):
        forecaster.observe(minute * MINUTE, 100.0 + minute + float(rng.standard_normal()))


def test_a_river_member_takes_part() -> None:
    alone, joined = LoadForecaster(), LoadForecaster(HOLT)
    for forecaster in (alone, joined):
        ramp(forecaster, 500)
    assert joined.models == (
        "persistence",
        "seasonal-naive",
        "weekly-naive",
        "regression",
        "cycle",
        "holt",
        "ensemble",
    )
    losses = joined.losses()
    holt = joined.models.index("holt")
    assert losses[3, holt] < losses[3, 0]  # eight minutes up a ramp: better than persistence
    assert abs(joined.forecast([8 * MINUTE], [0.5])[0, 0] - (599 + 8)) < 5
    skill = joined.skill()
    assert skill is not None
    assert skill > 0.3


def test_a_member_that_breaks_down_is_left_out() -> None:
    forecaster = LoadForecaster(BROKEN)
    rng = np.random.default_rng(1)
    for minute in range(400):
        forecaster.observe(minute * MINUTE, 1e6 * (1 + 0.5 * float(rng.standard_normal()) ** 2))
    told = forecaster.forecast([MINUTE, 10 * MINUTE], [0.5, 0.9])
    assert np.isfinite(told).all()
    assert (told < 1e8).all()


def test_state_goes_round_and_needs_its_key() -> None:
    first = LoadForecaster(HOLT)
    ramp(first, 200)
    with pytest.raises(ForecasterStateError, match="key"):
        first.dump()
    data = first.dump(b"secret")
    second = LoadForecaster(HOLT)
    second.load(data, b"secret")
    for forecaster in (first, second):
        ramp(forecaster, 20, start=200)
    horizons = [MINUTE, 30 * MINUTE]
    np.testing.assert_array_equal(first.forecast(horizons, [0.9]), second.forecast(horizons, [0.9]))
    for key, bytes_ in ((b"other", data), (b"secret", data[:-1] + b"x")):
        with pytest.raises(ForecasterStateError, match="signature"):
            LoadForecaster(HOLT).load(bytes_, key)


def test_without_members_no_key_is_needed() -> None:
    first, second = LoadForecaster(), LoadForecaster()
    ramp(first, 100)
    second.load(first.dump())
    np.testing.assert_array_equal(first.forecast([MINUTE], [0.5]), second.forecast([MINUTE], [0.5]))


def test_unknown_member_is_refused() -> None:
    with pytest.raises(UnknownForecasterError, match="known are"):
        LoadForecaster({"x": ("river.time_series.Nothing", {})})
