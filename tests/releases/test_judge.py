"""The judge with a control: verdicts, missing data, several metrics, replay."""

import msgspec
import numpy as np
import pytest

from planners.releases import JudgeConfig, MetricSpec, ReleaseJudge, Verdict
from tests.releases.generate import MINUTE, feed_errors, heavier_tail, latencies


def test_rolls_back_four_times_the_errors_within_minutes() -> None:
    for seed in range(20):
        verdict = feed_errors(ReleaseJudge.begin("v2", 0), np.random.default_rng(seed), 30, 0.02)
        assert verdict is not None
        assert (verdict.verdict, verdict.metric, verdict.final) == ("rollback", "errors", True)
        assert verdict.per_metric[0].finding == "harmful"


def test_promotes_a_release_that_is_as_good() -> None:
    verdict = feed_errors(ReleaseJudge.begin("v2", 0), np.random.default_rng(1), 1000, 0.005)
    assert verdict is not None
    assert verdict.verdict == "promote"
    errors = verdict.per_metric[0]
    assert errors.finding == "safe"
    assert errors.steps >= JudgeConfig().bake_steps


def test_promotes_a_release_without_any_errors() -> None:
    """No ratio can be told where neither arm fails; that the rate is negligible can."""
    verdict = feed_errors(ReleaseJudge.begin("v2", 0), np.random.default_rng(1), 100, 0.0, 0.0)
    assert verdict is not None
    assert verdict.verdict == "promote"


def test_finds_a_heavier_tail_with_the_same_mean() -> None:
    for seed in range(5):
        rng, judge, verdict = np.random.default_rng(seed), ReleaseJudge.begin("v2", 0), None
        for minute in range(60):
            ts = minute * MINUTE
            verdict = verdict or judge.observe_values(ts, "control", "latency_ms", latencies(rng, 1900))
            verdict = verdict or judge.observe_values(ts, "canary", "latency_ms", heavier_tail(rng, 100))
        assert verdict is not None
        assert verdict.verdict == "rollback"


def test_one_report_is_not_enough_however_bad() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    judge.observe_count(0, "control", "errors", 19, 3800)
    judge.observe_count(0, "canary", "errors", 200, 200)
    assert judge.finish().verdict == "continue"


def test_at_most_one_verdict() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    first = feed_errors(judge, np.random.default_rng(0), 30, 0.05)
    assert first is not None
    assert judge.observe_count(10**9, "canary", "errors", 200, 200) is None
    assert judge.advance(10**10) is None
    assert judge.finish() == judge.current() == first


def test_a_silent_canary_is_no_verdict() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    for minute in range(600):
        assert judge.observe_count(minute * MINUTE, "control", "errors", 19, 3800) is None
    verdict = judge.finish()
    assert (verdict.verdict, verdict.final) == ("continue", False)
    assert "the canary sent nothing in 600 of 600 steps" in verdict.reason
    assert "the default on timeout is continue" in verdict.reason


def test_a_canary_without_traffic_is_no_verdict() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    for minute in range(100):
        judge.observe_count(minute * MINUTE, "control", "errors", 19, 3800)
        judge.observe_count(minute * MINUTE, "canary", "errors", 0, 0)
        judge.observe_values(minute * MINUTE, "canary", "latency_ms", [])
    verdict = judge.finish()
    assert verdict.verdict == "continue"
    assert {metric.finding for metric in verdict.per_metric} == {"no-data"}


def test_a_gap_in_the_telemetry_is_left_out_not_compared_with_another_time() -> None:
    """The control is silent while both arms fail; what the canary says alone is no evidence."""
    rng, judge = np.random.default_rng(0), ReleaseJudge.begin("v2", 0)
    for minute in range(120):
        incident = 40 <= minute < 80
        rate = 0.2 if incident else 0.005
        if not incident:
            judge.observe_count(minute * MINUTE, "control", "errors", int(rng.binomial(3800, rate)), 3800)
        judge.observe_count(minute * MINUTE, "canary", "errors", int(rng.binomial(200, rate)), 200)
    verdict = judge.finish()
    assert verdict.verdict == "continue"
    assert "the control sent nothing in 40 of 120 steps" in verdict.reason


def test_an_incident_common_to_both_arms_is_no_harm() -> None:
    rng, judge = np.random.default_rng(0), ReleaseJudge.begin("v2", 0)
    for minute in range(120):
        rate = 0.2 if 40 <= minute < 80 else 0.005
        verdict = judge.observe_count(
            minute * MINUTE, "control", "errors", int(rng.binomial(3800, rate)), 3800
        )
        assert verdict is None or verdict.verdict == "promote"
        judge.observe_count(minute * MINUTE, "canary", "errors", int(rng.binomial(200, rate)), 200)


@pytest.mark.parametrize("decision", ["rollback", "promote"])
def test_the_stated_default_falls_at_the_timeout(decision: str) -> None:
    config = msgspec.convert({"timeout_ms": 600_000, "on_timeout": decision}, JudgeConfig)
    judge = ReleaseJudge.begin("v2", 0, config)
    assert judge.advance(599_999) is None
    verdict = judge.advance(600_000)
    assert verdict is not None
    assert (verdict.verdict, verdict.ts, verdict.final) == (decision, 600_000, True)
    assert "nothing observed" in verdict.reason


def test_the_finished_step_is_judged_when_time_passes() -> None:
    """No next report is needed: three reports of each arm, and the time for more has come."""
    judge = ReleaseJudge.begin("v2", 0)
    for minute in range(3):
        judge.observe_count(minute * MINUTE, "control", "errors", 19, 3800)
        judge.observe_count(minute * MINUTE, "canary", "errors", 20, 200)
    assert judge.advance(3 * MINUTE - 1) is None
    verdict = judge.advance(3 * MINUTE)
    assert verdict is not None
    assert (verdict.verdict, verdict.ts) == ("rollback", 2 * MINUTE)


def test_clumped_errors_are_not_taken_for_harm() -> None:
    """Both arms scatter by 20 % beyond chance at high volume; a plain test falls for it."""
    rolled_back = 0
    for seed in range(40):
        rng, judge = np.random.default_rng(seed), ReleaseJudge.begin("v2", 0, JudgeConfig(bake_steps=1000))
        for minute in range(60):
            for arm in ("control", "canary"):
                rate = 0.005 * float(rng.gamma(25.0, 1 / 25.0))
                count = int(rng.binomial(20_000, rate))
                judge.observe_count(minute * MINUTE, arm, "errors", count, 20_000)  # type: ignore[arg-type]
        rolled_back += judge.finish().verdict == "rollback"
    assert rolled_back <= 4


def test_a_late_metric_gets_its_share_of_the_error() -> None:
    """A metric that first reports later can still take the release back."""
    rng, judge, verdict = np.random.default_rng(0), ReleaseJudge.begin("v2", 0), None
    for minute in range(80):
        ts = minute * MINUTE
        for arm, size, rate in (("control", 3800, 0.005), ("canary", 200, 0.05)):
            verdict = verdict or judge.observe_count(ts, arm, "errors", round(size * 0.005), size)  # type: ignore[arg-type]
            if minute >= 5:
                verdict = verdict or judge.observe_count(  # type: ignore[arg-type]
                    ts, arm, "timeouts", int(rng.binomial(size, rate)), size
                )
    assert verdict is not None
    assert (verdict.verdict, verdict.metric) == ("rollback", "timeouts")


def test_the_shares_of_all_metrics_stay_within_the_error() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    for minute in range(12):
        for metric in range(minute + 1):
            judge.observe_count(minute * MINUTE, "control", f"m{metric}", 1, 100)
            judge.observe_count(minute * MINUTE, "canary", f"m{metric}", 1, 100)
    judge.finish()
    assert len(judge.metrics) == 12
    assert sum(watched.share for watched in judge.metrics.values()) <= 1.0


def _gauges(config: JudgeConfig, harmful: set[str]) -> Verdict:
    judge = ReleaseJudge.begin("v2", 0, config)
    rng = np.random.default_rng(0)
    for minute in range(60):
        for metric in ("a", "b", "c"):
            judge.observe_value(minute * MINUTE, "control", metric, float(rng.normal(100, 5)))
            factor = 2.0 if metric in harmful else 1.0
            judge.observe_value(minute * MINUTE, "canary", metric, float(factor * rng.normal(100, 5)))
    return judge.finish()


def test_metrics_that_may_fail_need_half_of_the_weight() -> None:
    specs = [{"name": name, "kind": "gauge", "must_not_fail": False} for name in "abc"]
    config = msgspec.convert({"metrics": specs}, JudgeConfig)
    assert _gauges(config, {"a"}).verdict == "continue"
    assert _gauges(config, {"a", "b"}).verdict == "rollback"
    heavy = msgspec.convert({"metrics": [{**specs[0], "weight": 3.0}, *specs[1:]]}, JudgeConfig)
    assert _gauges(heavy, {"a"}).verdict == "rollback"


def test_a_metric_that_must_not_fail_is_enough_alone() -> None:
    specs = [{"name": name, "kind": "gauge", "must_not_fail": name == "a"} for name in "abc"]
    config = msgspec.convert({"metrics": specs}, JudgeConfig)
    assert _gauges(config, {"a"}).verdict == "rollback"
    assert _gauges(config, {"b"}).verdict == "continue"


def test_tolerated_harm_is_not_rolled_back() -> None:
    spec = MetricSpec(name="errors", kind="rate", tolerance=4.0, margin=8.0)
    verdict = feed_errors(
        ReleaseJudge.begin("v2", 0, JudgeConfig(metrics=(spec,))), np.random.default_rng(0), 200, 0.015
    )
    assert verdict is None or verdict.verdict == "promote"


def test_harm_downwards() -> None:
    spec = MetricSpec(name="served", kind="rate", harm="down")
    judge, rng, verdict = (
        ReleaseJudge.begin("v2", 0, JudgeConfig(metrics=(spec,))),
        np.random.default_rng(0),
        None,
    )
    for minute in range(30):
        for arm, size, rate in (("control", 3800, 0.995), ("canary", 200, 0.97)):
            verdict = verdict or judge.observe_count(  # type: ignore[arg-type]
                minute * MINUTE, arm, "served", int(rng.binomial(size, rate)), size
            )
    assert verdict is not None
    assert verdict.verdict == "rollback"


def test_only_listed_metrics_count() -> None:
    config = JudgeConfig(metrics=(MetricSpec(name="latency", kind="values"),), only_listed=True)
    judge = ReleaseJudge.begin("v2", 0, config)
    assert feed_errors(judge, np.random.default_rng(0), 30, 0.5) is None
    assert judge.finish().verdict == "continue"


def test_thin_traffic_is_promoted_at_its_term() -> None:
    config = JudgeConfig(term_steps=100, term_margin=4.0)
    by_evidence, by_term = ReleaseJudge.begin("v2", 0), ReleaseJudge.begin("v2", 0, config)
    for minute in range(110):
        for judge in (by_evidence, by_term):
            judge.observe_count(minute * MINUTE, "control", "errors", minute % 2, 50)
            judge.observe_count(minute * MINUTE, "canary", "errors", minute % 2, 50)
    assert by_evidence.finish().verdict == "continue"
    assert by_term.finish().verdict == "promote"


def test_a_judge_that_is_stored_at_every_step_says_the_same() -> None:
    rng = np.random.default_rng(0)
    whole, stored = ReleaseJudge.begin("v2", 0), ReleaseJudge.begin("v2", 0)
    for minute in range(40):
        ts = minute * MINUTE
        errors = (int(rng.binomial(3800, 0.005)), int(rng.binomial(200, 0.012)))
        values = (latencies(rng, 200), latencies(rng, 20))
        for judge in (whole, stored):
            judge.observe_count(ts, "control", "errors", errors[0], 3800)
            judge.observe_count(ts, "canary", "errors", errors[1], 200)
            judge.observe_values(ts, "control", "latency_ms", values[0])
            judge.observe_values(ts, "canary", "latency_ms", values[1])
        stored = ReleaseJudge.from_bytes(stored.to_bytes())
        assert stored.to_bytes() == whole.to_bytes()
    assert stored.finish() == whole.finish()


def test_refuses_bytes_that_are_no_judge() -> None:
    with pytest.raises(msgspec.ValidationError, match="release"):
        ReleaseJudge.from_bytes(msgspec.msgpack.encode({}))


def test_refuses_a_metric_that_changes_its_form() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    judge.observe_count(0, "control", "errors", 1, 10)
    with pytest.raises(ValueError, match="errors came as count and total before and comes as values now"):
        judge.observe_values(1, "control", "errors", [1.0])


def test_refuses_observations_of_another_kind_than_configured() -> None:
    config = JudgeConfig(metrics=(MetricSpec(name="errors", kind="rate"),))
    with pytest.raises(ValueError, match="errors is configured as rate: expected count and total"):
        ReleaseJudge.begin("v2", 0, config).observe_values(0, "canary", "errors", [1.0])


def test_refuses_a_margin_within_the_tolerance() -> None:
    with pytest.raises(ValueError, match=r"margin 0\.25 must exceed tolerance 0.3"):
        MetricSpec(name="errors", kind="rate", tolerance=0.3)


def test_refuses_a_metric_listed_twice() -> None:
    spec = MetricSpec(name="errors", kind="rate")
    with pytest.raises(ValueError, match="listed more than once: errors"):
        JudgeConfig(metrics=(spec, spec))


@pytest.mark.slow
def test_harmless_releases_are_rolled_back_less_often_than_the_error() -> None:
    """Two metrics, looked at after each of 200 steps, at an error of one in ten."""
    config = JudgeConfig(error=0.1, bake_steps=10_000)
    rolled_back = 0
    for seed in range(100):
        rng, judge = np.random.default_rng(seed), ReleaseJudge.begin("v2", 0, config)
        for minute in range(200):
            ts = minute * MINUTE
            judge.observe_count(ts, "control", "errors", int(rng.binomial(380, 0.02)), 380)
            judge.observe_count(ts, "canary", "errors", int(rng.binomial(20, 0.02)), 20)
            judge.observe_values(ts, "control", "latency_ms", latencies(rng, 60))
            judge.observe_values(ts, "canary", "latency_ms", latencies(rng, 20))
        rolled_back += judge.finish().verdict == "rollback"
    assert rolled_back <= 23  # binomial(100, 0.1) exceeds 23 once in ten thousand
