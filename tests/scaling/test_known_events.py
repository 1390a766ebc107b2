"""A sale or a holiday that people tell of is met ahead of its time, and is not taken for the usual."""

import numpy as np
import pytest

from detectors.forecasting import Known, factor_at, highest_factor, with_event
from streams.scaling import ScaleConfig, TargetScaler
from tests.scaling.service import DAY, MINUTE_MS, START_MS, Load, noisy

CONFIG = ScaleConfig(capacity=10.0)
DAYS = 3
SALE = START_MS + (DAYS * DAY - 60) * MINUTE_MS  # the last hour


def _load(factor: float) -> Load:
    minutes = np.arange(DAYS * DAY)
    load = 100.0 + 40.0 * np.sin(minutes / DAY * 2 * np.pi)
    load[-60:] *= factor
    return noisy(load, np.random.default_rng(7))


def _wanted(scaler: TargetScaler, load: Load, start: int = 0) -> np.ndarray:
    replicas = 10
    wanted = []
    for minute in range(start, len(load)):
        _, decision = scaler.observe(START_MS + minute * MINUTE_MS, float(load[minute]), replicas)
        assert decision is not None
        replicas = decision.replicas
        wanted.append(replicas)
    return np.array(wanted)


def test_a_sale_finds_the_replicas_there() -> None:
    load = _load(3.0)
    told, untold = TargetScaler(CONFIG), TargetScaler(CONFIG)
    told.expect(Known("sale", SALE, SALE + 60 * MINUTE_MS, 3.0))
    ahead, late = _wanted(told, load), _wanted(untold, load)
    first = len(load) - 60
    need = np.ceil(load / 10.0)
    # Decided from the sample before the start-up time, asked for then, ready when the sale starts.
    assert need[first] <= ahead[first - 3]
    assert late[first - 3] < 0.6 * need[first]
    assert ahead[first - 20] < 0.6 * need[first]
    assert ((ahead[first:-5] >= need[first + 3 : -2] - 1).mean()) > 0.95


def test_a_holiday_is_not_paid_for_and_not_learnt() -> None:
    load = _load(0.3)
    told = TargetScaler(CONFIG)
    told.expect(Known("holiday", SALE, SALE + 60 * MINUTE_MS, 0.3))
    wanted = _wanted(told, load)
    assert wanted[-50:-5].max() <= 6  # the last ones are for what comes after
    forecast, _ = told.observe(START_MS + len(load) * MINUTE_MS, 100.0, int(wanted[-1]))
    assert forecast is not None
    day_ahead = forecast.values[-1][1]
    assert day_ahead == pytest.approx(100.0, rel=0.2)


def test_an_event_that_does_not_come_is_forgotten_within_minutes() -> None:
    load = _load(1.0)
    told = TargetScaler(CONFIG)
    told.expect(Known("sale", SALE, SALE + 60 * MINUTE_MS, 3.0))
    wanted = _wanted(told, load)
    assert wanted[-30:].max() <= 1.6 * load[-30:].max() / 10.0


def test_a_later_word_replaces_an_earlier_one_and_survives_a_restart() -> None:
    scaler = TargetScaler(CONFIG)
    scaler.expect(Known("sale", SALE, SALE + MINUTE_MS, 3.0))
    scaler.expect(Known("sale", SALE, SALE + MINUTE_MS, 1.0))
    stored = TargetScaler.from_bytes(CONFIG, scaler.to_bytes())
    load = _load(1.0)
    assert (_wanted(stored, load) == _wanted(TargetScaler(CONFIG), load)).all()


def test_factors_of_overlapping_events_multiply() -> None:
    events = with_event((), Known("sale", 100, 200, 3.0), now=0, memory_ms=50)
    events = with_event(events, Known("holiday", 150, 400, 0.5), now=0, memory_ms=50)
    assert [factor_at(events, ts) for ts in (99, 100, 150, 200, 400)] == [1.0, 3.0, 1.5, 0.5, 1.0]
    assert highest_factor(events, 50, 120) == 3.0
    assert highest_factor(events, 160, 250) == 1.5
    assert highest_factor(events, 160, 400) == 1.5
    assert highest_factor(events, 210, 500) == 1.0
    later = with_event(events, Known("launch", 900, 950, 2.0), now=500, memory_ms=200)
    assert [event.id for event in later] == ["holiday", "launch"]
