"""What happens to a service whose load steps, ramps, bursts, fails, rests and grows.

Each scenario says what an operator expects; the reactive rule at 0.70 on the same load stands beside.
"""

import numpy as np
import pytest

from streams.scaling import ScaleConfig
from tests.scaling.service import DAY, Load, Ride, by_day, noisy, reactive_ride, ride

CONFIG = ScaleConfig(capacity=10.0)
FLAT: Load = np.full(2 * DAY, 100.0)


def both(load: Load) -> tuple[Ride, Ride]:
    return ride(load, CONFIG), reactive_ride(load, CONFIG)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_unit_step_is_one_incident_of_the_startup_time(rng: np.random.Generator) -> None:
    ours, _ = both(noisy(np.concatenate([FLAT, np.full(300, 200.0)]), rng))
    # Its first minute has to end, and two more pass until replicas serve; the noise may add one.
    assert ours.incidents(2 * DAY) == 1
    assert ours.breach_minutes(2 * DAY) <= 5
    assert ours.paid[2 * DAY + 1] >= 20


def test_ramp_is_kept_ahead_of_at_less_cost(rng: np.random.Generator) -> None:
    ours, hpa = both(noisy(np.concatenate([FLAT, np.linspace(100, 400, 360), np.full(200, 400.0)]), rng))
    assert ours.cost(2 * DAY) < 0.85 * hpa.cost(2 * DAY)
    assert ours.breach_minutes(2 * DAY) <= 5


def test_flash_crowd_is_one_incident_and_is_left_behind(rng: np.random.Generator) -> None:
    up, down = np.linspace(100, 300, 5), np.linspace(300, 100, 10)
    ours, _ = both(noisy(np.concatenate([FLAT, up, np.full(30, 300.0), down, np.full(400, 100.0)]), rng))
    assert ours.incidents(2 * DAY) == 1
    assert ours.breach_minutes(2 * DAY) <= 9
    after = 2 * DAY + 5 + 30 + 10 + 10
    assert ours.paid[after:].max() <= 16  # of 10 needed, ten minutes after


def test_outage_scales_down_and_recovery_costs_one_incident(rng: np.random.Generator) -> None:
    load = noisy(by_day(6, lambda _: (60, 200)), rng)
    start, stop = 4 * DAY + 600, 4 * DAY + 660
    load[start:stop] = 0.0
    ours, _ = both(load)
    assert ours.paid[start + 20 : stop].max() <= 2
    assert ours.incidents(stop, stop + 120) == 1
    assert ours.breach_minutes(stop, stop + 120) <= 8
    assert ours.breach_minutes(5 * DAY, 6 * DAY) <= 2  # the outage is not expected again


def test_weekend_is_cheap_and_monday_unharmed(rng: np.random.Generator) -> None:
    load = noisy(by_day(22, lambda day: (60, 200) if day % 7 < 5 else (60, 40)), rng)
    ours, hpa = both(load)
    assert ours.cost(19 * DAY, 21 * DAY) < 0.85 * hpa.cost(19 * DAY, 21 * DAY)
    assert ours.breach_minutes(19 * DAY, 22 * DAY) <= 2


def test_holiday_costs_what_it_needs_and_the_day_after_is_served(rng: np.random.Generator) -> None:
    load = noisy(by_day(18, lambda day: (60, 200) if day % 7 < 5 and day != 15 else (60, 40)), rng)
    ours, _ = both(load)
    assert ours.cost(15 * DAY, 16 * DAY) < 1.2 * ours.least_cost(15 * DAY, 16 * DAY)
    assert ours.breach_minutes(15 * DAY, 17 * DAY) <= 2


def test_growth_is_followed(rng: np.random.Generator) -> None:
    ours, hpa = both(noisy(by_day(14, lambda day: (60 * 1.03**day, 200 * 1.03**day)), rng))
    assert ours.cost(7 * DAY) < 0.85 * hpa.cost(7 * DAY)
    assert ours.breach_minutes(7 * DAY) <= 7  # a minute a day


@pytest.mark.parametrize("kind", ["gaussian", "poisson"])
def test_pure_noise_costs_less_and_seldom_breaks(kind: str, rng: np.random.Generator) -> None:
    flat = np.full(8 * DAY, 100.0)
    load = noisy(flat, rng, 0.15) if kind == "gaussian" else rng.poisson(30, 8 * DAY) * 3.0
    ours, hpa = both(load)
    assert ours.cost(2 * DAY) < 0.97 * hpa.cost(2 * DAY)
    assert ours.incidents(2 * DAY) <= max(3, hpa.incidents(2 * DAY))  # one in two days


def test_jobs_that_start_by_the_clock_find_replicas_there(rng: np.random.Generator) -> None:
    load = np.full(6 * DAY, 50.0)
    for day in range(6):
        for minute in (9 * 60 + 3, 14 * 60 + 3):  # forty minutes, five-fold, at the same minutes each day
            load[day * DAY + minute : day * DAY + minute + 40] = 250.0
    ours, hpa = both(noisy(load, rng))
    assert hpa.incidents(3 * DAY) == 6  # each of them
    assert ours.incidents(3 * DAY) <= 1
    assert ours.cost(3 * DAY) < 0.9 * hpa.cost(3 * DAY)


def test_a_service_that_begins_after_days_of_nothing_is_served_like_any(rng: np.random.Generator) -> None:
    load = noisy(np.concatenate([np.zeros(4 * DAY), by_day(2, lambda _: (60, 200))]), rng)
    ours, hpa = both(load)
    assert ours.cost(4 * DAY) < hpa.cost(4 * DAY)
    assert ours.incidents(4 * DAY) <= hpa.incidents(4 * DAY) + 2
    assert ours.paid[4 * DAY :].max() <= 1.5 * hpa.paid[4 * DAY :].max()
