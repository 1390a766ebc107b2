"""An A/B experiment: several variants beside a control, looked at whenever one likes.

Each variant and metric has a confidence sequence of its effect against the control; together they hold
with probability 1 - `error` over all variants, metrics and looks (Bonferroni over the tests of `port`). The
stop rule is stated in `Experiment.report`. Nothing is concluded while the units are not split as intended
(`mismatch`).
"""

import math
from typing import Annotated, Literal

import msgspec

from planners.releases.assignment import assign, shares
from planners.releases.batch import Batch, Estimate
from planners.releases.best import Normal, log_odds, probability_best, thompson_split
from planners.releases.config import MetricSpec
from planners.releases.counts import CountTest
from planners.releases.means import MeanTest
from planners.releases.mismatch import log_mismatch
from planners.releases.port import CONTROL_TESTS, ControlTest
from planners.releases.rates import RateTest
from planners.releases.steps import Step, Steps

Finding = Literal["better", "worse", "same", "undecided"]
State = Literal["running", "winner", "no-winner", "invalid", "ended"]


class ExperimentConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Variants with their percentages of the units, the first being the control, and the metrics.

    The first metric decides, the others guard: a variant that is worse on one of them does not win. `harm` of
    a metric is the direction one does not want; within `margin` of the control a variant counts as the
    same. `sure` is the probability to be best that a winner needs among several.

    Raises:
        ValueError: fewer than two variants, no metric, a kind without a two-sided effect, or bad percentages.
    """

    name: Annotated[str, msgspec.Meta(min_length=1)]
    variants: dict[str, float]
    metrics: tuple[MetricSpec, ...]
    error: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    mismatch_error: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.001
    sure: Annotated[float, msgspec.Meta(gt=0.5, lt=1)] = 0.95
    most_ms: Annotated[int, msgspec.Meta(gt=0)] = 28 * 86_400_000
    step_ms: Annotated[int, msgspec.Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        if len(self.variants) < 2 or not self.metrics:
            raise ValueError(f"experiment {self.name}: needs a control, a variant and a metric")
        if min(shares(self.variants).values()) == 0:
            raise ValueError(f"experiment {self.name}: every variant needs a share of the units")
        for metric in self.metrics:
            if metric.kind not in ("rate", "count", "mean"):
                raise ValueError(
                    f"experiment {self.name}, metric {metric.name}: kind {metric.kind} has no effect size; "
                    "use rate, count or mean"
                )

    @property
    def control(self) -> str:
        """The first variant."""
        return next(iter(self.variants))

    def assign(self, unit: str) -> str | None:
        """The variant of `unit`, None where it takes no part."""
        return assign(self.name, unit, shares(self.variants))


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One variant's metric against the control's: a ratio (odds of a rate) and its confidence sequence."""

    variant: str
    metric: str
    ratio: float
    lower: float
    upper: float
    finding: Finding
    steps: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Where an experiment stands. `best` is each variant's probability to be best on the first metric."""

    experiment: str
    ts: int
    state: State
    winner: str | None
    reason: str
    results: tuple[Result, ...]
    best: dict[str, float]
    mismatch: float


class Experiment(msgspec.Struct):
    """The running state of an experiment; plain data, `to_bytes` and `from_bytes` carry it over restarts."""

    config: ExperimentConfig
    started_at: int
    steps: Steps
    tests: dict[str, dict[str, ControlTest]]
    counted: dict[str, dict[str, int]]
    units: dict[str, int] = msgspec.field(default_factory=dict)
    now: int = 0

    @classmethod
    def begin(cls, config: ExperimentConfig, started_at: int) -> "Experiment":
        """An experiment that starts at `started_at` (Unix ms)."""
        variants = [name for name in config.variants if name != config.control]
        tests = {
            name: {spec.name: CONTROL_TESTS[spec.kind](spec, 1.0) for spec in config.metrics}
            for name in variants
        }
        counted = {name: {spec.name: 0 for spec in config.metrics} for name in variants}
        return cls(config, started_at, Steps(width=config.step_ms), tests, counted, now=started_at)

    def observe_units(self, variant: str, count: int) -> None:
        """Count `count` more units that were given `variant`.

        Raises:
            ValueError: the variant is unknown.
        """
        self._known(variant)
        self.units[variant] = self.units.get(variant, 0) + count

    def observe_count(self, ts: int, variant: str, metric: str, count: float, total: float) -> None:
        """Take `count` of `total` (or per exposure `total`) of one variant at `ts` (Unix ms).

        Raises:
            ValueError: the variant or the metric is unknown, or the metric is of values.
        """
        self._observe(ts, variant, metric, Batch(float(count), float(total)), counted=True)

    def observe_values(self, ts: int, variant: str, metric: str, values: list[float]) -> None:
        """Take single values of one variant at `ts` (Unix ms).

        Raises:
            ValueError: the variant or the metric is unknown, or the metric counts events.
        """
        kept = tuple(float(value) for value in values if math.isfinite(value))
        self._observe(ts, variant, metric, Batch(values=kept), counted=False)

    def close_step(self) -> None:
        """Learn the step that is still open."""
        self._learn(self.steps.close())

    def report(self) -> Report:
        """Where the experiment stands, and the stop rule.

        invalid: the units are not split as intended. winner: a variant is better on the first metric, worse
        on none, and best with probability `sure`. no-winner: no variant can win any more, each being worse
        on some metric or within the margin on the first. ended: `most_ms` have passed. Else running.
        """
        results = tuple(self._result(variant, spec) for variant in self.tests for spec in self.config.metrics)
        best = probability_best(self.posteriors())
        mismatch = log_mismatch(self.units, shares(self.config.variants)) if self.units else 0.0
        state, winner, reason = self._stop(results, best, mismatch)
        return Report(
            experiment=self.config.name,
            ts=self.now,
            state=state,
            winner=winner,
            reason=reason,
            results=results,
            best=best,
            mismatch=math.exp(min(mismatch, 700.0)),
        )

    def posteriors(self) -> dict[str, Normal]:
        """Per variant, mean and spread of the belief in its first metric, turned so that higher is better."""
        spec = self.config.metrics[0]
        sign = -1.0 if spec.harm == "up" else 1.0
        first = next(iter(self.tests.values()))[spec.name]
        beliefs = {self.config.control: _belief(first, canary=False)}
        beliefs |= {name: _belief(tests[spec.name], canary=True) for name, tests in self.tests.items()}
        return {name: (sign * mean, spread) for name, (mean, spread) in beliefs.items()}

    def thompson(self, floor: float = 0.05) -> dict[str, float]:
        """Percentages by the probability to be best, each at least `floor`; for a bandit's next period."""
        split = thompson_split(self.posteriors(), floor)
        return {name: round(100 * share, 2) for name, share in split.items()}

    def to_bytes(self) -> bytes:
        """The experiment as msgpack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Experiment":
        """The experiment that `to_bytes` wrote.

        Raises:
            msgspec.ValidationError: the bytes are not an experiment; the text names the path.
        """
        return msgspec.msgpack.decode(data, type=cls)

    def _known(self, variant: str) -> None:
        if variant not in self.config.variants:
            known = ", ".join(self.config.variants)
            raise ValueError(f"experiment {self.config.name} has no variant {variant}; it has {known}")

    def _observe(self, ts: int, variant: str, metric: str, batch: Batch, *, counted: bool) -> None:
        self._known(variant)
        spec = next((spec for spec in self.config.metrics if spec.name == metric), None)
        if spec is None:
            known = ", ".join(spec.name for spec in self.config.metrics)
            raise ValueError(f"experiment {self.config.name} has no metric {metric}; it has {known}")
        if counted != (spec.kind != "mean"):
            expected = "values" if counted else "count and total"
            raise ValueError(f"metric {metric} is configured as {spec.kind}: expected {expected}")
        self.now = max(self.now, ts)
        self._learn(self.steps.add(ts, variant, metric, batch))

    def _learn(self, step: Step | None) -> None:
        if step is None:
            return
        for variant, tests in self.tests.items():
            for metric, test in tests.items():
                control, batch = step.of(self.config.control, metric), step.of(variant, metric)
                if control is not None and batch is not None and control.size and batch.size:
                    test.add(control, batch)
                    self.counted[variant][metric] += 1

    def _result(self, variant: str, spec: MetricSpec) -> Result:
        weight = sum(metric.weight for metric in self.config.metrics) * len(self.tests)
        seen = _effect(self.tests[variant][spec.name], self.config.error * spec.weight / weight)
        finding: Finding = "undecided"
        if seen.lower > 1 or seen.upper < 1:
            finding = "worse" if (seen.lower > 1) == (spec.harm == "up") else "better"
        elif seen.lower > 1 / (1 + spec.margin) and seen.upper < 1 + spec.margin:
            finding = "same"
        return Result(
            variant=variant,
            metric=spec.name,
            ratio=seen.ratio,
            lower=seen.lower,
            upper=seen.upper,
            finding=finding,
            steps=self.counted[variant][spec.name],
        )

    def _stop(
        self, results: tuple[Result, ...], best: dict[str, float], mismatch: float
    ) -> tuple[State, str | None, str]:
        if mismatch >= -math.log(self.config.mismatch_error):
            seen = ", ".join(f"{name} {self.units.get(name, 0)}" for name in self.config.variants)
            return "invalid", None, f"the units are not split as intended ({seen}): no result can be trusted"
        first = self.config.metrics[0].name
        worse = {result.variant for result in results if result.finding == "worse"}
        on_first = {result.variant: result for result in results if result.metric == first}
        for name, result in on_first.items():
            if result.finding == "better" and name not in worse and best[name] >= self.config.sure:
                words = f"{first} ratio {result.ratio:.4g} ({result.lower:.4g} to {result.upper:.4g})"
                return "winner", name, f"{name} wins: {words}, best with probability {best[name]:.3g}"
        if all(name in worse or result.finding == "same" for name, result in on_first.items()):
            parts = [f"{name} {'worse' if name in worse else 'the same'}" for name in on_first]
            return "no-winner", None, f"no variant beats {self.config.control}: {', '.join(parts)}"
        if self.now - self.started_at >= self.config.most_ms:
            return "ended", None, "the time is over without a difference that is certain"
        return "running", None, "no difference is certain yet"


def _effect(test: ControlTest, error: float) -> Estimate:
    """Variant to control in the metric's own direction: tests of rates and counts turn harm upwards."""
    seen = test.estimate(error)
    if isinstance(test, MeanTest) or test.harm == "up":
        return seen
    lower = 1 / seen.upper if seen.upper else math.inf
    return Estimate(1 / seen.ratio, lower, 1 / seen.lower if seen.lower else math.inf)


def _belief(test: ControlTest, *, canary: bool) -> Normal:
    """Mean and spread of one arm's log odds, log rate or mean; flat where nothing was observed."""
    if isinstance(test, MeanTest):
        arm = test.canary if canary else test.control
        if arm.freedom < 2 or not arm.squares:
            return 0.0, 1e6
        return arm.mean, math.sqrt(arm.squares / arm.freedom / arm.count)
    assert isinstance(test, RateTest | CountTest)  # noqa: S101
    seen = test.canary if canary else test.control
    if isinstance(test, CountTest):
        count = seen.count + 0.5
        return math.log(count / max(seen.total, 1e-9)), 1 / math.sqrt(count)
    mean, spread = log_odds(seen.count, seen.total)
    return (mean, spread) if test.harm == "up" else (-mean, spread)
