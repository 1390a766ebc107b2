"""One metric of a release under watch: its test, its share of the error budget, its silences, its words."""

import math

import msgspec

from planners.releases.baseline import BeforeAfterTest
from planners.releases.batch import Batch
from planners.releases.config import MetricSpec
from planners.releases.port import Test
from planners.releases.verdict import Finding, MetricVerdict

_LOG_MOST = 700.0


class Watched(msgspec.Struct):
    """A metric and what was learnt of it.

    `steps` counts the steps with data for the test, `missing` those in which an arm was silent, `left_out`
    those that say nothing about the release.
    """

    spec: MetricSpec
    share: float
    test: Test
    steps: int = 0
    missing: int = 0
    left_out: int = 0
    silent_canary: int = 0
    silent_control: int = 0

    def learn_pair(self, control: Batch | None, canary: Batch | None) -> None:
        """Learn a step beside a control; one with a silent arm is counted, never learnt from."""
        assert not isinstance(self.test, BeforeAfterTest)  # noqa: S101
        if canary is not None and canary.size and control is not None and control.size:
            self.test.add(control, canary)
            self.steps += 1
            return
        self.missing += 1
        self.silent_canary += canary is None or not canary.size
        self.silent_control += control is None or not control.size

    def learn_after(self, batch: Batch) -> None:
        """Learn a step without a control: its mean value, or its rate."""
        assert isinstance(self.test, BeforeAfterTest)  # noqa: S101
        if not batch.size:
            self.missing += 1
            return
        self.test.add(sum(batch.values) / len(batch.values) if batch.values else batch.count / batch.total)
        if self.test.past.long_enough:
            self.steps += 1

    def verdict(self, error: float, *, safe: bool) -> MetricVerdict:
        """What the metric says where the budget of all metrics is `error`; `safe`: its harm is bounded."""
        log_harm = self.test.log_harm()
        needed = 1 / (error * self.share)
        finding: Finding = "undecided"
        if not self.steps:
            finding = "no-data"
        elif log_harm >= math.log(needed):
            finding = "harmful"
        elif safe:
            finding = "safe"
        seen = self.test.estimate(error * self.share) if self.steps else None
        return MetricVerdict(
            metric=self.spec.name,
            kind=self.spec.kind,
            finding=finding,
            evidence=math.exp(min(log_harm, _LOG_MOST)),
            needed=needed,
            tolerance=self.spec.tolerance,
            ratio=seen.ratio if seen else None,
            lower=seen.lower if seen else None,
            upper=seen.upper if seen else None,
            steps=self.steps,
            missing=self.missing,
            reason=self.reason(error, finding),
        )

    def reason(self, error: float, finding: Finding) -> str:
        """The finding in words and numbers."""
        name = self.spec.name
        if finding == "no-data":
            return f"{name}: {self.silence()}"
        seen = self.test.estimate(error * self.share)
        words = (
            f"{name} is {finding}: {self.test.words()}; ratio {seen.ratio:.3g} ({seen.lower:.3g} to "
            f"{seen.upper:.3g}) after {self.steps} steps, "
            f"evidence {math.exp(min(self.test.log_harm(), _LOG_MOST)):.3g} of {1 / (error * self.share):.3g}"
        )
        return f"{words}; {self.silence()}" if self.missing + self.left_out else words

    def harm_reason(self, error: float) -> str:
        """Why the metric takes the release back."""
        way = "higher" if self.spec.harm == "up" else "lower"
        return (
            f"rollback: {self.reason(error, 'harmful')} ({way} is harm, tolerance "
            f"{100 * self.spec.tolerance:g} %, error {100 * error:g} % over all metrics and looks)"
        )

    def silence(self) -> str:
        """Which data are missing."""
        if isinstance(self.test, BeforeAfterTest):
            if not self.test.past.long_enough:
                return f"only {self.test.past.ticks} values from before the release"
            quiet = [f"{self.missing} ticks without a value"] if self.missing else []
            quiet += [f"{self.left_out} ticks left out, short of replicas"] if self.left_out else []
            return " and ".join(quiet) or "no values since the release"
        steps = self.steps + self.missing
        quiet = []
        if self.silent_canary:
            quiet.append(f"the canary sent nothing in {self.silent_canary} of {steps} steps")
        if self.silent_control:
            quiet.append(f"the control sent nothing in {self.silent_control} of {steps} steps")
        return " and ".join(quiet) or "nothing observed yet"
