"""A/B experiments: effects, the stop rule, sample-ratio mismatch, probability to be best."""

import math

import msgspec
import numpy as np
import pytest

from planners.releases import Experiment, ExperimentConfig, MetricSpec
from planners.releases.best import log_odds, probability_best, thompson_split
from planners.releases.experiment import Report
from planners.releases.mismatch import log_mismatch

CONFIG = ExperimentConfig(
    name="checkout-button",
    variants={"control": 34.0, "red": 33.0, "blue": 33.0},
    metrics=(
        MetricSpec(name="bought", kind="rate", harm="down", margin=0.1),
        MetricSpec(name="revenue", kind="mean", harm="down", margin=0.1),
        MetricSpec(name="crashes", kind="count", harm="up"),
    ),
)


def run(
    seed: int, steps: int, bought: float = 0.0, revenue: float = 0.0, crashes: float = 0.0, size: int = 100
) -> tuple[Experiment, list[Report]]:
    """An experiment whose variant blue differs from the control by these relative effects."""
    rng, experiment, reports = np.random.default_rng(seed), Experiment.begin(CONFIG, 0), []
    for step in range(steps):
        for variant in CONFIG.variants:
            lift = [1 + effect * (variant == "blue") for effect in (bought, revenue, crashes)]
            experiment.observe_units(variant, size)
            count = int(rng.binomial(size, 0.2 * lift[0]))
            experiment.observe_count(step * 1000, variant, "bought", count, size)
            values = (lift[1] * rng.lognormal(2, 0.5, size // 4)).tolist()
            experiment.observe_values(step * 1000, variant, "revenue", values)
            experiment.observe_count(
                step * 1000, variant, "crashes", int(rng.poisson(0.02 * size * lift[2])), size
            )
        reports.append(experiment.report())
    return experiment, reports


def first_end(reports: list[Report]) -> Report:
    return next((report for report in reports if report.state != "running"), reports[-1])


def test_the_better_variant_wins() -> None:
    report = first_end(run(0, 200, bought=0.25)[1])
    assert (report.state, report.winner) == ("winner", "blue")
    assert report.best["blue"] > 0.95
    found = {(seen.variant, seen.metric): seen for seen in report.results}
    assert found["blue", "bought"].finding == "better"
    assert found["blue", "bought"].lower > 1


def test_a_variant_that_is_worse_on_a_guard_does_not_win() -> None:
    report = first_end(run(0, 200, bought=0.25, crashes=2.0)[1])
    assert report.winner is None
    found = {(seen.variant, seen.metric): seen.finding for seen in report.results}
    assert found["blue", "crashes"] == "worse"


def test_a_worse_mean_is_found() -> None:
    report = run(0, 200, revenue=-0.15)[1][-1]
    found = {(seen.variant, seen.metric): seen for seen in report.results}
    assert found["blue", "revenue"].finding == "worse"
    assert found["blue", "revenue"].upper < 1


def test_ends_without_a_winner_when_all_are_the_same() -> None:
    report = first_end(run(1, 400, size=1000)[1])
    assert report.state == "no-winner"
    assert "no variant beats control" in report.reason


@pytest.mark.slow
def test_false_findings_over_all_variants_metrics_and_looks() -> None:
    """Two variants, three metrics, 60 looks, error 5 %."""
    false = 0
    for seed in range(100):
        reports = run(100 + seed, 60)[1]
        false += any(seen.finding in ("better", "worse") for report in reports for seen in report.results)
    assert false <= 14  # binomial(100, 0.05) exceeds 14 once in ten thousand


def test_a_broken_split_invalidates_the_experiment() -> None:
    experiment = Experiment.begin(CONFIG, 0)
    for variant, units in (("control", 3400), ("red", 3300), ("blue", 2900)):
        experiment.observe_units(variant, units)
    report = experiment.report()
    assert report.state == "invalid"
    assert report.mismatch > 1000
    assert "blue 2900" in report.reason


def test_the_mismatch_test_keeps_its_error_under_peeking() -> None:
    alarms = 0
    for seed in range(300):
        rng, units = np.random.default_rng(seed), {"a": 0, "b": 0}
        for _ in range(200):
            a = int(rng.binomial(50, 0.25))
            units = {"a": units["a"] + a, "b": units["b"] + 50 - a}
            if log_mismatch(units, {"a": 1, "b": 3}) >= math.log(20):
                alarms += 1
                break
    assert alarms <= 30  # binomial(300, 0.05) exceeds 30 once in ten thousand


def test_it_ends_with_its_time() -> None:
    config = msgspec.structs.replace(CONFIG, most_ms=5000)
    experiment = Experiment.begin(config, 0)
    for variant in CONFIG.variants:
        experiment.observe_count(6000, variant, "bought", 1, 10)
    assert experiment.report().state == "ended"


def test_probability_best_agrees_with_draws() -> None:
    posteriors = {"a": (0.0, 0.1), "b": (0.05, 0.02), "c": (-0.1, 0.2)}
    rng = np.random.default_rng(0)
    draws = np.array([rng.normal(mean, spread, 200_000) for mean, spread in posteriors.values()])
    expected = np.bincount(draws.argmax(axis=0), minlength=3) / 200_000
    np.testing.assert_allclose(list(probability_best(posteriors).values()), expected, atol=0.005)


def test_probability_best_of_very_different_spreads() -> None:
    chances = probability_best({"flat": (0.0, 1e6), "sharp": (1.0, 1e-3)})
    assert chances["flat"] == pytest.approx(0.5, abs=1e-3)


def test_log_odds_without_events() -> None:
    assert log_odds(0, 100)[0] < math.log(0.01)


def test_thompson_gives_traffic_to_the_better_and_a_floor_to_all() -> None:
    experiment, _ = run(0, 100, bought=0.25)
    split = experiment.thompson(floor=0.1)
    assert sum(split.values()) == pytest.approx(100, abs=0.05)
    assert split["blue"] > 70
    assert min(split.values()) >= 10


def test_refuses_floors_beyond_all_traffic() -> None:
    with pytest.raises(ValueError, match="more than all traffic"):
        thompson_split({"a": (0.0, 1.0), "b": (0.0, 1.0)}, floor=0.6)


def test_replay() -> None:
    experiment, reports = run(0, 20, bought=0.1)
    stored = Experiment.from_bytes(experiment.to_bytes())
    assert stored.to_bytes() == experiment.to_bytes()
    assert stored.report() == reports[-1]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"variants": {"control": 100.0}}, "needs a control, a variant and a metric"),
        ({"variants": {"control": 100.0, "red": 0.0}}, "every variant needs a share"),
        ({"metrics": (MetricSpec(name="g", kind="gauge"),)}, "kind gauge has no effect size"),
    ],
)
def test_refuses_a_bad_configuration(changed: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        msgspec.structs.replace(CONFIG, **changed)


def test_refuses_what_it_does_not_know() -> None:
    experiment = Experiment.begin(CONFIG, 0)
    with pytest.raises(ValueError, match="no variant green; it has control, red, blue"):
        experiment.observe_units("green", 1)
    with pytest.raises(ValueError, match="no metric clicks; it has bought, revenue, crashes"):
        experiment.observe_count(0, "red", "clicks", 1, 2)
    with pytest.raises(ValueError, match="configured as mean: expected values"):
        experiment.observe_count(0, "red", "revenue", 1, 2)
