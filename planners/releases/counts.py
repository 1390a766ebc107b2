"""Sequential test of counts per exposure: crashes, restarts, retries in a canary and its concurrent control.

Given the events of both arms in a step, the canary's number is binomial with its share of the exposure where
the arms are alike (Przyborowski and Wilenski 1940), whatever the level, which may change from step to
step. Method: `ratio`.
"""

import msgspec

from planners.releases.batch import Batch, Estimate
from planners.releases.config import MetricSpec
from planners.releases.partitions import binomial
from planners.releases.ratio import RatioEvidence


class CountTest(msgspec.Struct, tag="count"):
    """Evidence on events per exposure, canary to control; with `harm` "down", control to canary."""

    harm: str
    rates: RatioEvidence
    canary: Batch = Batch()
    control: Batch = Batch()

    @classmethod
    def of(cls, spec: MetricSpec, term_margin: float) -> "CountTest":
        """An empty test of `spec`; harm is bounded by its margin and by `term_margin`."""
        return cls(spec.harm, RatioEvidence(spec.tolerance, (spec.margin, max(term_margin, spec.margin))))

    def add(self, control: Batch, canary: Batch) -> None:
        """Learn one step of both arms; `total` is the exposure (hours, requests), positive."""
        worse, better = (canary, control) if self.harm == "up" else (control, canary)
        share = worse.total / (worse.total + better.total)
        events = worse.count + better.count
        self.rates.add(worse.count, events, lambda ratios: binomial(ratios, events, share))
        self.canary += canary
        self.control += control

    def log_harm(self) -> float:
        """Log e-value against harm within the tolerance."""
        return self.rates.log_harm()

    def log_safe(self, index: int) -> float:
        """Log e-value against harm beyond margin `index`."""
        return self.rates.log_safe(index)

    def estimate(self, error: float) -> Estimate:
        """The ratio of rates and its confidence sequence."""
        return self.rates.estimate(error)

    def words(self) -> str:
        """The two rates per exposure."""
        canary = self.canary.count / self.canary.total if self.canary.total else 0.0
        control = self.control.count / self.control.total if self.control.total else 0.0
        return f"{canary:.4g} against {control:.4g} per unit of exposure"
