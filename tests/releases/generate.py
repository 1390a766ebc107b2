"""Releases with known truth, fed to a judge step by step."""

from collections.abc import Iterator

import numpy as np

from planners.releases import ReleaseJudge, Verdict

MINUTE = 60_000
Rng = np.random.Generator


def feed_errors(
    judge: ReleaseJudge, rng: Rng, steps: int, canary_rate: float, control_rate: float = 0.005
) -> Verdict | None:
    """One report of errors a minute, 3800 requests on the control and 200 on the canary."""
    for minute in range(steps):
        ts = minute * MINUTE
        verdict = judge.observe_count(ts, "control", "errors", int(rng.binomial(3800, control_rate)), 3800)
        verdict = verdict or judge.observe_count(
            ts, "canary", "errors", int(rng.binomial(200, canary_rate)), 200
        )
        if verdict is not None:
            return verdict
    return None


def latencies(rng: Rng, size: int) -> list[float]:
    """Log-normal latencies in ms, median 55, p99 175."""
    values: list[float] = rng.lognormal(4.0, 0.5, size).tolist()
    return values


def heavier_tail(rng: Rng, size: int) -> list[float]:
    """The same mean as `latencies`, p99 up by 30 %."""
    values: list[float] = rng.lognormal(4.0 + 0.125 - 0.5 * 0.6523**2, 0.6523, size).tolist()
    return values


def season(steps: int, period: int) -> Iterator[float]:
    """A factor that swings between 0.2 and 1.8."""
    for step in range(steps):
        yield 1 + 0.8 * float(np.sin(2 * np.pi * step / period))
