"""Scaling and releases seen together."""

import numpy as np

from planners.releases import ReleaseJudge, TargetWatch
from planners.releases.joint import allowed_scale, failing, short_of_replicas
from schemas import Deployment, Scale
from tests.releases.generate import MINUTE, feed_errors

UP, DOWN = Scale(replicas=8, previous=4), Scale(replicas=2, previous=4)


def test_a_failing_canary_is_not_scaled_up() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    feed_errors(judge, np.random.default_rng(0), 30, 0.05)
    verdict = judge.current()
    assert failing(verdict)
    assert allowed_scale(UP, verdict) == (None, "not scaled up to 8: the release looks bad on errors")
    assert allowed_scale(DOWN, verdict) == (DOWN, None)


def test_a_suspicious_canary_is_not_scaled_up_before_the_verdict() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    for minute in range(2):
        judge.observe_count(minute * MINUTE, "control", "errors", 19, 3800)
        judge.observe_count(minute * MINUTE, "canary", "errors", 6, 200)
    verdict = judge.current()
    assert verdict.verdict == "continue"
    assert failing(verdict)


def test_a_good_one_is() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    feed_errors(judge, np.random.default_rng(0), 20, 0.005)
    assert allowed_scale(UP, judge.current()) == (UP, None)
    assert allowed_scale(UP, None) == (UP, None)


def test_a_late_scale_up_is_not_the_releases_fault() -> None:
    """Latency doubles while replicas are short of the load; without that knowledge it is a rollback."""
    informed, blind = TargetWatch(), TargetWatch()
    rng, verdicts = np.random.default_rng(0), {"informed": [], "blind": []}  # type: ignore[var-annotated]
    for minute in range(140):
        if minute == 100:
            for watch in (informed, blind):
                watch.observe_deployment(Deployment(target="shop", release="v2", ts=100 * MINUTE))
        load, ready = (900.0, 4.0) if 105 <= minute < 120 else (300.0, 4.0)
        short = short_of_replicas(load, ready, capacity=100.0)
        latency = float(rng.normal(200 if short else 100, 5))
        verdicts["informed"].append(
            informed.observe_value(minute * MINUTE, None, "latency_ms", latency, short=short)
        )
        verdicts["blind"].append(blind.observe_value(minute * MINUTE, None, "latency_ms", latency))
    assert [verdict.verdict for verdict in verdicts["blind"] if verdict] == ["rollback"]
    assert [verdict.verdict for verdict in verdicts["informed"] if verdict] in ([], ["promote"])
    assert informed.judge is not None
    assert "15 ticks left out, short of replicas" in informed.judge.current().per_metric[0].reason


def test_a_release_that_makes_replicas_slower_is_no_shortage() -> None:
    """Capacity is what a replica served before the release."""
    assert not short_of_replicas(load=300.0, ready=4.0, capacity=100.0)
