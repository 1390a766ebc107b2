"""The watch on a target: before and after, the past it keeps, replay."""

import numpy as np
import pytest

from planners.releases import JudgeConfig, TargetWatch, Verdict
from schemas import Deployment
from tests.releases.generate import MINUTE

QUIET = JudgeConfig(bake_steps=10_000)


def deploy(watch: TargetWatch, minute: int, release: str = "v2", percent: float | None = None) -> None:
    watch.observe_deployment(
        Deployment(target="shop", release=release, ts=minute * MINUTE, previous="v1", canary_percent=percent)
    )


def tick(watch: TargetWatch, minute: int, errors: float, latency: float) -> Verdict | None:
    verdict = watch.observe_value(minute * MINUTE, None, "error_rate", errors)
    return verdict or watch.observe_value(minute * MINUTE, None, "latency_ms", latency)


def ordinary(rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.binomial(500, 0.005) / 500), float(rng.normal(100, 8))


@pytest.mark.parametrize("seed", range(10))
def test_rolls_back_within_a_few_samples(seed: int) -> None:
    rng, watch = np.random.default_rng(seed), TargetWatch()
    for minute in range(120):
        assert tick(watch, minute, *ordinary(rng)) is None
    deploy(watch, 120)
    for minute in range(120, 126):
        verdict = tick(watch, minute, float(rng.binomial(500, 0.05) / 500), float(rng.normal(140, 8)))
        if verdict:
            break
    assert verdict is not None
    assert verdict.verdict == "rollback"
    assert verdict.ts <= 124 * MINUTE


def test_leaves_harmless_releases_alone_over_500_looks() -> None:
    rolled_back = 0
    for seed in range(100):
        rng, watch = np.random.default_rng(seed), TargetWatch(QUIET)
        for minute in range(120):
            tick(watch, minute, *ordinary(rng))
        deploy(watch, 120)
        verdicts = [tick(watch, minute, *ordinary(rng)) for minute in range(120, 620)]
        rolled_back += any(verdict is not None for verdict in verdicts)
    assert rolled_back <= 5  # binomial(100, 0.01) exceeds 5 once in two thousand


def test_one_spike_is_no_harm() -> None:
    rng, watch = np.random.default_rng(0), TargetWatch(QUIET)
    for minute in range(120):
        tick(watch, minute, *ordinary(rng))
    deploy(watch, 120)
    assert tick(watch, 120, 0.5, 2000.0) is None
    for minute in range(121, 200):
        assert tick(watch, minute, *ordinary(rng)) is None


def test_a_slope_from_before_the_release_may_go_on() -> None:
    rng, watch = np.random.default_rng(0), TargetWatch(QUIET)
    for minute in range(300):
        if minute == 200:
            deploy(watch, 200)
        assert tick(watch, minute, 0.01, 100.0 + minute + float(rng.normal(0, 2))) is None


def test_promotes_when_nothing_rose() -> None:
    rng, watch = np.random.default_rng(0), TargetWatch()
    for minute in range(120):
        tick(watch, minute, *ordinary(rng))
    deploy(watch, 120)
    verdicts = [tick(watch, minute, *ordinary(rng)) for minute in range(120, 200)]
    found = [verdict for verdict in verdicts if verdict]
    assert [verdict.verdict for verdict in found] == ["promote"]
    assert verdicts.index(found[0]) >= 29


def test_without_a_past_there_is_no_verdict() -> None:
    watch = TargetWatch()
    deploy(watch, 0)
    for minute in range(100):
        assert tick(watch, minute, 0.5, 2000.0) is None
    assert watch.judge is not None
    verdict = watch.judge.current()
    assert verdict.verdict == "continue"
    assert "only 0 values from before the release" in verdict.reason


def test_a_bad_release_does_not_become_the_past() -> None:
    """After a rollback the next release is judged against the time before the bad one."""
    rng, watch = np.random.default_rng(0), TargetWatch()
    for minute in range(120):
        tick(watch, minute, *ordinary(rng))
    for release, start in (("v2", 120), ("v3", 200)):
        deploy(watch, start, release)
        verdicts = [tick(watch, start + minute, 0.05, 150.0) for minute in range(10)]
        assert [verdict.verdict for verdict in verdicts if verdict] == ["rollback"]
        for minute in range(start + 10, start + 20):
            tick(watch, minute, *ordinary(rng))


def test_the_way_back_is_not_judged_in_turn() -> None:
    """The rollback brings v1 back while the metrics still recover: that is no reason to return to v2."""
    rng, watch = np.random.default_rng(0), TargetWatch()
    for minute in range(120):
        tick(watch, minute, *ordinary(rng))
    deploy(watch, 120)
    assert any(tick(watch, 120 + minute, 0.05, 150.0) for minute in range(5))
    watch.observe_deployment(Deployment(target="shop", release="v1", ts=126 * MINUTE, previous="v2"))
    assert [tick(watch, 126 + minute, 0.05, 150.0) for minute in range(6)] == [None] * 6


def test_a_replayed_deployment_changes_nothing() -> None:
    rng, watch = np.random.default_rng(0), TargetWatch()
    for minute in range(120):
        tick(watch, minute, *ordinary(rng))
    deploy(watch, 120)
    tick(watch, 120, *ordinary(rng))
    stored = watch.to_bytes()
    deploy(watch, 120)
    assert watch.to_bytes() == stored


def test_with_a_canary_the_arms_are_compared() -> None:
    rng, watch, verdict = np.random.default_rng(0), TargetWatch(), None
    deploy(watch, 0, percent=5.0)
    for minute in range(20):
        for arm, factor in (("control", 1.0), ("canary", 1.5)):
            value = factor * float(rng.normal(100, 8))
            verdict = verdict or watch.observe_value(minute * MINUTE, arm, "latency_ms", value)  # type: ignore[arg-type]
    assert verdict is not None
    assert verdict.verdict == "rollback"


def test_missing_ticks_are_not_zeros() -> None:
    rng, watch = np.random.default_rng(0), TargetWatch(QUIET)
    for minute in range(120):
        tick(watch, minute, *ordinary(rng))
    deploy(watch, 120)
    for minute in range(120, 160):
        assert watch.observe_value(minute * MINUTE, None, "error_rate", None) is None
        assert watch.observe_value(minute * MINUTE, None, "latency_ms", float("nan")) is None
    assert watch.judge is not None
    assert {metric.finding for metric in watch.judge.current().per_metric} == {"no-data"}


def test_a_watch_that_is_stored_at_every_tick_says_the_same() -> None:
    rng, whole, stored = np.random.default_rng(0), TargetWatch(), TargetWatch()
    for minute in range(60):
        if minute == 40:
            deploy(whole, 40)
            deploy(stored, 40)
        seen = ordinary(rng)
        assert tick(whole, minute, *seen) == tick(stored, minute, *seen)
        stored = TargetWatch.from_bytes(stored.to_bytes())
        assert stored.to_bytes() == whole.to_bytes()
