"""What an operator relies on in Tidegate's detector, each on a series where the answer is known."""

import math

import numpy as np
import pytest

from bench.calibration import generated, merged
from detectors.port import F64, Scores
from detectors.registry import make_bank

START = 1_700_006_400_000  # a midnight
DAY = 86_400_000


def scores_of(values: F64, cadence_s: int = 300, rate: float = 1 / 7) -> Scores:
    bank = make_bank("tidegate", alarms_per_series_day=rate)
    bank.grow(1)
    times = START + 1000 * cadence_s * np.arange(len(values))
    return bank.update(np.zeros(len(values), np.int64), times, np.asarray(values, np.float64))


def daily(days: int, cadence_s: int = 300, seed: int = 3, shift_h: float = 0.0) -> F64:
    seconds = np.arange(days * 86_400 // cadence_s) * cadence_s + 3600.0 * shift_h
    noise = np.random.default_rng(seed).normal(0.0, 1.0, len(seconds))
    return 100.0 + 30.0 * np.sin(2 * np.pi * seconds / 86_400) + noise


def test_a_spike_alarms_at_once_with_its_band_and_reasons() -> None:
    values = daily(10)
    values[2500] += 40.0
    scores = scores_of(values)
    assert scores.alarm[2500]
    assert scores.score[2500] > 0.5
    assert values[2500] > scores.upper[2500] > scores.expected[2500] > scores.lower[2500]
    assert scores.evidence[2500].max() > 1.0


def test_the_band_is_where_the_alarm_begins() -> None:
    values = daily(10)
    values[[1500, 2500]] += [25.0, -60.0]
    scores = scores_of(values)
    known = ~scores.learning
    outside = (values < scores.lower) | (values > scores.upper)
    assert (outside == scores.alarm)[known].mean() > 0.999
    assert scores.alarm.any()


def test_an_hour_that_is_quiet_where_it_is_always_busy_alarms() -> None:
    values = daily(21, cadence_s=3600)
    values[18 * 24 + 4 : 18 * 24 + 8] = 75.0  # within the range of every night, at the time of the peak
    scores = scores_of(values, cadence_s=3600)
    season = make_bank("tidegate").evidence.index("season")
    assert scores.alarm[18 * 24 + 4 : 18 * 24 + 8].any()
    assert scores.evidence[18 * 24 + 4 : 18 * 24 + 8, season].max() > 1.0


@pytest.mark.parametrize("step", [25.0, -25.0, 500.0])
def test_a_level_shift_becomes_the_new_normal(step: float) -> None:
    values = np.random.default_rng(4).normal(100.0, 1.0, 8000)
    values[4000:] += step
    scores = scores_of(values)
    assert scores.alarm[4000]
    assert scores.alarm[4000:].sum() < 60  # five hours of five-minute samples, not for ever
    assert not scores.alarm[4400:].mean() > 0.005
    assert scores.expected[7999] == pytest.approx(100.0 + step, abs=3.0)


def test_daylight_saving_is_forgiven_within_days() -> None:
    values = np.concatenate([daily(28, cadence_s=3600), daily(28, cadence_s=3600, shift_h=1.0, seed=5)])
    alarms = np.flatnonzero(scores_of(values, cadence_s=3600).alarm)
    after = merged(alarms[alarms >= 28 * 24].tolist())
    assert after <= 12  # three a week is what twelve in 28 days would be
    assert merged(alarms[alarms >= 35 * 24].tolist()) <= 8


def test_a_series_of_zeros_alarms_on_its_first_event_and_learns_that_events_come() -> None:
    rng = np.random.default_rng(6)
    values = np.where(rng.random(16_000) < 0.02, rng.poisson(4.0, 16_000) + 1.0, 0.0)
    values[:500] = 0.0
    scores = scores_of(values)
    first = int(np.flatnonzero(values)[0])
    assert scores.alarm[first]
    late = np.flatnonzero(scores.alarm[8000:])
    assert merged(late.tolist()) <= 3 * (8000 / 288 / 7)


def test_a_change_of_a_constant_series_alarms() -> None:
    values = np.full(300, 5.0)
    values[250] = 5.001
    scores = scores_of(values)
    assert not scores.alarm[:250].any()
    assert scores.alarm[250]


def test_a_counters_reset_is_a_jump_and_its_rate_is_learnt_again() -> None:
    rng = np.random.default_rng(9)
    rate = rng.poisson(50.0, 6000).astype(np.float64)
    counter = np.cumsum(rate)
    counter[4000:] -= counter[3999]
    raw = scores_of(counter)
    assert raw.alarm[4000]
    assert not raw.alarm[4600:].mean() > 0.01
    derived = scores_of(np.r_[rate[0], np.maximum(np.diff(counter), 0.0)])  # what ingest makes of a counter
    assert merged(np.flatnonzero(derived.alarm).tolist()) <= 2 * 6000 / 288 / 7


def test_a_bounded_series_may_sit_at_its_bound() -> None:
    values = np.clip(np.random.default_rng(10).normal(97.0, 4.0, 8000), 0.0, 100.0)
    scores = scores_of(values)
    at_bound = values == 100.0
    assert at_bound.mean() > 0.2
    assert not scores.alarm[at_bound].any()
    values[6000:6003] = 20.0
    assert scores_of(values).alarm[6000]


def test_a_level_that_falls_towards_zero_alarms_by_its_ratio() -> None:
    values = 1000.0 * np.exp(np.random.default_rng(11).normal(0.0, 0.35, 6000))  # from 400 to 2500
    values[:3] = 0.0  # it has been idle before
    values[5000:5006] = 0.5
    scores = scores_of(values)
    ratio = make_bank("tidegate").evidence.index("ratio")
    assert scores.alarm[5000]
    assert scores.evidence[5000].argmax() == ratio


def test_a_gap_in_time_is_no_anomaly_by_itself() -> None:
    values = daily(10)
    times = START + 300_000 * np.arange(len(values))
    kept = np.r_[0:2000, 2288 : len(values)]  # a day without samples
    bank = make_bank("tidegate")
    bank.grow(1)
    scores = bank.update(np.zeros(len(kept), np.int64), times[kept], values[kept])
    assert not scores.alarm[2000:2012].any()


def test_it_says_learning_for_the_first_day_of_hours_only() -> None:
    scores = scores_of(daily(3, cadence_s=3600), cadence_s=3600)
    assert scores.learning[:24].all()
    assert not scores.learning[24:].any()
    assert np.isnan(scores.expected[:24]).all()


def test_what_follows_a_record_scores_low_until_it_rests_no_more() -> None:
    values = np.random.default_rng(7).normal(0.0, 1.0, 3000)
    values[2000:2010] = np.linspace(30.0, 39.0, 10)
    scores = scores_of(values)
    assert scores.score[2000] > 0.9
    assert (scores.score[2001:2010] < 0.5).all()


@pytest.mark.parametrize("rate", [1.0, 1 / 7])
def test_normal_series_of_each_kind_alarm_between_half_and_twice_as_often_as_asked(rate: float) -> None:
    counts = generated(lambda asked: make_bank("tidegate", alarms_per_series_day=asked), rate, [0])
    beyond = {kind: each.whole.ratio for kind, each in counts.items() if not 0.5 <= each.whole.ratio <= 2.0}
    # Long runs of high values are what an event looks like: they are not held against the threshold.
    assert set(beyond) <= {"log autoregressive (0.8)"}
    assert all(ratio < 3.0 for ratio in beyond.values())
    assert 0.8 <= counts["all"].whole.ratio <= 1.6


def test_the_first_weeks_alarm_about_as_often_as_asked_too() -> None:
    counts = generated(lambda asked: make_bank("tidegate", alarms_per_series_day=asked), 1 / 7, [1], weeks=4)
    assert 0.5 <= counts["all"].early.ratio <= 2.0


def test_a_lower_rate_alarms_less() -> None:
    values = np.random.default_rng(8).standard_t(3, 10_000)
    counts = [int(scores_of(values, rate=rate).alarm.sum()) for rate in (1 / 30, 1 / 7, 1.0, 5.0)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


@pytest.mark.parametrize("magnitude", [1e-9, 1.0, 1e15])
def test_it_survives_any_magnitude(magnitude: float) -> None:
    values = daily(8) * magnitude
    values[2000] *= 3.0
    scores = scores_of(values)
    assert np.isfinite(scores.score).all()
    assert scores.alarm[2000]
    assert math.isfinite(float(scores.upper[2000]))
