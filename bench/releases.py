"""Releases with known truth, judged by Tidegate and by its peers on the same observations.

`python -m bench.releases [--scale 1.0] [--json FILE]` prints the table of docs/releases.md. `--scale 0.1`
runs a tenth of the releases. Seeds are fixed; nothing depends on the machine.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from bench.release_peers import fixed_horizon_steps, kayenta_rejects, mean_test_rejects, z_test_rejects
from planners.releases import (
    Experiment,
    ExperimentConfig,
    JudgeConfig,
    MetricSpec,
    ReleaseJudge,
    TargetWatch,
    Verdict,
)
from schemas import Deployment

MINUTE = 60_000
ERROR = 0.01
# Promotion would end the looks; the rows on rollbacks look on.
NEVER_PROMOTE = JudgeConfig(bake_steps=10**9)
Rng = np.random.Generator


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    what: str
    releases: int
    tidegate: str
    peers: str
    wanted: str
    reached: bool


@dataclass
class Counts:
    """Errors of both arms so far, and their rates per step as Kayenta sees them."""

    canary: list[int]
    control: list[int]

    def kayenta(self, size: int, size_control: int) -> bool:
        return kayenta_rejects(np.array(self.canary) / size, np.array(self.control) / size_control)


def swing(step: int, phase: float) -> float:
    """A season's factor, a day of 288 steps."""
    return 1 + 0.8 * float(np.sin(2 * np.pi * step / 288 + phase))


def run_errors(
    rng: Rng,
    steps: int,
    rate: Callable[[int], float],
    harm: float,
    load: Callable[[int], float] = lambda _: 1.0,
) -> tuple[Verdict, Counts, bool]:
    """Errors only, 3800 and 200 requests a step; also whether a z-test that is looked at ever rejects."""
    judge, seen, peeked = ReleaseJudge.begin("v2", 0, NEVER_PROMOTE), Counts([], []), False
    totals = [0, 0]
    for step in range(steps):
        control, canary = int(3800 * load(step)), int(200 * load(step))
        seen.control.append(int(rng.binomial(control, rate(step))))
        seen.canary.append(int(rng.binomial(canary, rate(step) * harm)))
        totals = [totals[0] + control, totals[1] + canary]
        peeked = peeked or z_test_rejects(sum(seen.canary), totals[1], sum(seen.control), totals[0], ERROR)
        judge.observe_count(step * MINUTE, "control", "errors", seen.control[-1], control)
        judge.observe_count(step * MINUTE, "canary", "errors", seen.canary[-1], canary)
    return judge.finish(), seen, peeked


def tail(rng: Rng, size: int, sigma: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Log-normal latencies whose mean is that of sigma 0.5; sigma 0.6523 has a p99 30 % higher."""
    return rng.lognormal(4.0 + 0.125 - 0.5 * sigma**2, sigma, size)


def run_latency(
    rng: Rng, steps: int, sigma: float, level: Callable[[int], float], config: JudgeConfig, size: int = 100
) -> tuple[Verdict, bool, bool]:
    """Latencies only, `size` on the canary and as many of the control's; whether peers ever reject."""
    judge, ours, theirs, kayenta = ReleaseJudge.begin("v2", 0, config), [], [], False
    means: tuple[list[float], list[float]] = ([], [])
    for step in range(steps):
        canary, control = level(step) * tail(rng, size, sigma), level(step) * tail(rng, size, 0.5)
        ours.append(canary)
        theirs.append(control)
        means[0].append(float(canary.mean()))
        means[1].append(float(control.mean()))
        if step % 10 == 9:
            kayenta = kayenta or kayenta_rejects(np.array(means[0]), np.array(means[1]))
        judge.observe_values(step * MINUTE, "control", "latency_ms", control.tolist())
        judge.observe_values(step * MINUTE, "canary", "latency_ms", canary.tolist())
    mean = mean_test_rejects(np.concatenate(ours), np.concatenate(theirs), ERROR)
    return judge.finish(), mean, kayenta


def percent(part: int, of: int) -> str:
    return f"{100 * part / of:.1f} %"


def no_difference(count: int) -> Row:
    """A/A, every step looked at."""
    rolled = peeked = kayenta = 0
    for seed in track(range(count), "A/A, errors"):
        verdict, seen, rejected = run_errors(np.random.default_rng(seed), 500, lambda _: 0.005, 1.0)
        rolled += verdict.verdict == "rollback"
        peeked += rejected
        looks = range(10, 501, 10)
        kayenta += any(Counts(seen.canary[:at], seen.control[:at]).kayenta(200, 3800) for at in looks)
    return Row(
        "A/A, 500 steps, looked at every step: rolled back",
        count,
        percent(rolled, count),
        f"z-test {percent(peeked, count)}, Kayenta every 10 steps {percent(kayenta, count)}",
        "1 % or less",
        rolled <= 0.01 * count,
    )


def error_jump(count: int) -> Row:
    """0.5 % to 2 %."""
    steps, before, after, kayenta = [], 0, 0, []
    for seed in track(range(count), "errors 0.5 % to 2 %"):
        verdict, seen, _ = run_errors(np.random.default_rng(seed), 100, lambda _: 0.005, 4.0)
        steps.append(verdict.ts // MINUTE + 1 if verdict.verdict == "rollback" else 10**6)
        looks = (
            at for at in range(10, 101, 10) if Counts(seen.canary[:at], seen.control[:at]).kayenta(200, 3800)
        )
        kayenta.append(next(looks, 10**6))
        before += steps[-1] < kayenta[-1]
        after += steps[-1] > kayenta[-1]
    fixed = {power: fixed_horizon_steps(0.005, 0.02, 200, 3800, ERROR, power) for power in (0.8, 0.9, 0.95)}
    median = float(np.median(steps))
    horizons = ", ".join(f"{steps} (power {100 * power:g} %)" for power, steps in fixed.items())
    return Row(
        "errors 0.5 % to 2 %, 200 requests a step: median steps",
        count,
        f"{median:g} (p90 {np.quantile(steps, 0.9):g}), before Kayenta {before}, after it {after}",
        f"fixed horizon {horizons}; Kayenta {np.median(kayenta):g}",
        "1.5x of fixed horizon, always before Kayenta",
        median <= 1.5 * fixed[0.8] and before == count,
    )


def heavier_tail(count: int) -> Row:
    """p99 up 30 %, mean unchanged."""
    found = mean = kayenta = 0
    steps = []
    for seed in track(range(count), "p99 up 30 %"):
        verdict, by_mean, by_kayenta = run_latency(
            np.random.default_rng(seed), 200, 0.6523, lambda _: 1.0, JudgeConfig()
        )
        found += verdict.verdict == "rollback"
        steps.append(verdict.ts // MINUTE + 1)
        mean += by_mean
        kayenta += by_kayenta
    return Row(
        "latency p99 up 30 %, mean unchanged, 100 values an arm and step: found within 200 steps",
        count,
        f"{percent(found, count)}, median {np.median(steps):g} steps",
        f"mean test at the end {percent(mean, count)}, Kayenta on means {percent(kayenta, count)}",
        "found",
        found == count,
    )


def seasons(count: int) -> list[Row]:
    """Load, error rate and latency swing by 80 % in both arms alike."""
    rolled = 0
    for seed in track(range(count), "seasonal errors"):
        rng = np.random.default_rng(seed)
        phase = float(rng.uniform(0, 2 * np.pi))
        verdict, _, _ = run_errors(
            rng,
            500,
            lambda step, at=phase: 0.005 * swing(step, at + 1),
            1.0,
            lambda step, at=phase: swing(step, at),
        )
        rolled += verdict.verdict == "rollback"
    slow = 0
    thin = max(count // 10, 1)
    for seed in track(range(thin), "seasonal latency"):
        rng = np.random.default_rng(seed)
        phase = float(rng.uniform(0, 2 * np.pi))
        verdict, _, _ = run_latency(rng, 500, 0.5, lambda step, at=phase: swing(step, at), NEVER_PROMOTE, 40)
        slow += verdict.verdict == "rollback"
    return [
        Row(
            "seasonal load and errors, arms alike: rolled back",
            count,
            percent(rolled, count),
            "",
            "1 % or less",
            rolled <= 0.01 * count,
        ),
        Row(
            "seasonal latency, arms alike: rolled back",
            thin,
            percent(slow, thin),
            "",
            "1 % or less",
            slow <= 0.01 * thin,
        ),
    ]


def clumped(count: int) -> Row:
    """Both arms' rates scatter by 20 % from step to step, each for itself, at 20 000 requests a step."""
    rolled = peeked = 0
    for seed in track(range(count), "clumped errors"):
        rng, judge, rejected = np.random.default_rng(seed), ReleaseJudge.begin("v2", 0, NEVER_PROMOTE), False
        failed = {"control": 0, "canary": 0}
        for step in range(100):
            for arm in failed:
                count_now = int(rng.binomial(20_000, 0.005 * rng.gamma(25.0, 1 / 25.0)))
                failed[arm] += count_now
                judge.observe_count(step * MINUTE, arm, "errors", count_now, 20_000)  # type: ignore[arg-type]
            total = 20_000 * (step + 1)
            rejected = rejected or z_test_rejects(failed["canary"], total, failed["control"], total, ERROR)
        rolled += judge.finish().verdict == "rollback"
        peeked += rejected
    return Row(
        "A/A where errors come in clumps (20 % a step), 100 looks: rolled back",
        count,
        percent(rolled, count),
        f"z-test {percent(peeked, count)}",
        "",
        True,
    )


def variants(count: int) -> Row:
    """Three variants, two metrics, none different."""
    config = ExperimentConfig(
        name="aa",
        variants={"control": 34.0, "red": 33.0, "blue": 33.0},
        metrics=(
            MetricSpec(name="bought", kind="rate", harm="down"),
            MetricSpec(name="revenue", kind="mean", harm="down"),
        ),
    )
    false = 0
    for seed in track(range(count), "3 variants"):
        rng, experiment, found = np.random.default_rng(seed), Experiment.begin(config, 0), False
        for step in range(200):
            for variant in config.variants:
                experiment.observe_count(step * MINUTE, variant, "bought", int(rng.binomial(100, 0.1)), 100)
                experiment.observe_values(step * MINUTE, variant, "revenue", rng.lognormal(2, 1, 30).tolist())
            found = found or any(
                result.finding in ("better", "worse") for result in experiment.report().results
            )
        false += found
    return Row(
        "A/B, 3 variants, 2 metrics, 200 looks: any false finding",
        count,
        percent(false, count),
        "",
        "5 % or less",
        false <= 0.05 * count,
    )


def good_and_gap(count: int) -> list[Row]:
    """Promotion of a release that is as good; silence."""
    promoted, steps, final = 0, [], 0
    for seed in track(range(count), "good releases"):
        rng, judge = np.random.default_rng(seed), ReleaseJudge.begin("v2", 0)
        for step in range(500):
            judge.observe_count(step * MINUTE, "control", "errors", int(rng.binomial(3800, 0.005)), 3800)
            judge.observe_count(step * MINUTE, "canary", "errors", int(rng.binomial(200, 0.005)), 200)
        verdict = judge.finish()
        promoted += verdict.verdict == "promote"
        steps.append(verdict.ts // MINUTE + 1)
        silent = ReleaseJudge.begin("v2", 0)
        for step in range(500):
            silent.observe_count(step * MINUTE, "control", "errors", int(rng.binomial(3800, 0.005)), 3800)
            if step % 3:  # every third step it does not even report
                silent.observe_count(step * MINUTE, "canary", "errors", 0, 0)
        final += silent.finish().verdict != "continue"
    return [
        Row(
            "as good as the control, errors: promoted within 500 steps",
            count,
            f"{percent(promoted, count)}, median {np.median(steps):g} steps",
            "",
            "",
            True,
        ),
        Row(
            "canary without traffic or telemetry: verdicts",
            count,
            percent(final, count),
            "",
            "none",
            final == 0,
        ),
    ]


def before_after(count: int) -> list[Row]:
    """Gauges without a control: error rate 0.5 % to 5 %, latency up 30 %; 120 ticks of past, 500 looks."""
    rolled, steps = 0, []
    for seed in track(range(count), "before and after"):
        for harmful in (False, True):
            rng = np.random.default_rng(seed)
            watch, found = TargetWatch(NEVER_PROMOTE), None
            for step in range(620 if not harmful else 140):
                bad = harmful and step >= 120
                if step == 120:
                    watch.observe_deployment(Deployment(target="shop", release="v2", ts=step * MINUTE))
                errors = float(rng.binomial(500, 0.05 if bad else 0.005) / 500)
                latency = float(rng.normal(130 if bad else 100, 8))
                ts = step * MINUTE
                verdict = watch.observe_value(ts, None, "error_rate", errors)
                verdict = verdict or watch.observe_value(ts, None, "latency_ms", latency)
                if verdict:
                    found = step - 119
                    break
            if harmful:
                steps.append(found or 10**6)
            else:
                rolled += found is not None
    return [
        Row(
            "before/after, A/A over 500 looks: rolled back",
            count,
            percent(rolled, count),
            "",
            "1 % or less",
            rolled <= 0.01 * count,
        ),
        Row(
            "before/after, errors 0.5 % to 5 %: median samples",
            count,
            f"{np.median(steps):g} (p99 {np.quantile(steps, 0.99):g})",
            "",
            "a few",
            float(np.median(steps)) <= 5,
        ),
    ]


def rows(scale: float) -> Iterable[Row]:
    """All rows of the table, one after the other."""
    count = max(int(2000 * scale), 10)
    yield no_difference(count)
    yield error_jump(count)
    yield heavier_tail(max(count // 20, 5))
    yield from seasons(count)
    yield clumped(max(count // 5, 5))
    yield variants(max(count // 10, 5))
    yield from good_and_gap(max(count // 5, 5))
    yield from before_after(max(count // 2, 5))


def main() -> None:
    """Run all rows and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="part of the releases to run")
    parser.add_argument("--json", type=Path, help="file for the rows")
    chosen = parser.parse_args()
    started = time.monotonic()
    found = list(rows(chosen.scale))
    table = Table("what", "releases", "Tidegate", "peers", "wanted", "reached")
    for row in found:
        table.add_row(
            row.what, str(row.releases), row.tidegate, row.peers, row.wanted, "yes" if row.reached else "NO"
        )
    Console(width=200).print(table, f"{time.monotonic() - started:.0f} s")
    if chosen.json:
        chosen.json.write_text(json.dumps([asdict(row) for row in found], indent=2))


if __name__ == "__main__":
    main()
