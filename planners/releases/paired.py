"""Sequential test of gauges: one aggregated number per tick and arm, canary beside control.

Nothing is known of how a gauge was aggregated, so only the sign of the difference in each tick is used:
where the arms are alike, the canary's is the larger in at most half of the ticks that differ (sign test:
Arbuthnot 1710; sequential by `ratio`). Ticks share their load, so seasons cancel.
"""

import msgspec

from planners.releases.batch import Batch, Estimate
from planners.releases.config import MetricSpec
from planners.releases.partitions import binomial
from planners.releases.ratio import RatioEvidence

# A gauge that is worse is so in nearly every tick.
_ALL_BUT_ALWAYS = 20.0


class PairedTest(msgspec.Struct, tag="gauge"):
    """Evidence on the odds that the canary's gauge is the worse one of a tick."""

    harm: str
    tolerance: float
    margins: tuple[float, ...]
    worse: RatioEvidence
    bounded: list[RatioEvidence]
    canary: Batch = Batch()
    control: Batch = Batch()

    @classmethod
    def of(cls, spec: MetricSpec, term_margin: float) -> "PairedTest":
        """An empty test of `spec`; harm is bounded by its margin and by `term_margin`."""
        margins = (spec.margin, max(term_margin, spec.margin))
        bounded = [RatioEvidence(0.0, (0.0,)) for _ in margins]
        return cls(spec.harm, spec.tolerance, margins, RatioEvidence(0.0, (), _ALL_BUT_ALWAYS), bounded)

    def add(self, control: Batch, canary: Batch) -> None:
        """Learn one tick: the mean of each arm's values in it."""
        ours, theirs = _mean(canary), _mean(control)
        tests = [(self.tolerance, self.worse), *zip(self.margins, self.bounded, strict=True)]
        for allowed, test in tests:
            limit = _allow(theirs, allowed) if self.harm == "up" else -_allow(-theirs, allowed)
            difference = ours - limit if self.harm == "up" else limit - ours
            if difference:
                test.add(float(difference > 0), 1.0, lambda ratios: binomial(ratios, 1.0, 0.5))
        self.canary += Batch(ours, 1.0)
        self.control += Batch(theirs, 1.0)

    def log_harm(self) -> float:
        """Log e-value against harm within the tolerance."""
        return self.worse.log_harm()

    def log_safe(self, index: int) -> float:
        """Log e-value against harm beyond margin `index`."""
        return self.bounded[index].log_safe(0)

    def estimate(self, error: float) -> Estimate:
        """The odds that the canary's gauge is the worse one, and their confidence sequence."""
        return self.worse.estimate(error)

    def words(self) -> str:
        """The two means over the ticks."""
        ticks = max(self.canary.total, 1.0)
        return f"mean {self.canary.count / ticks:.4g} against {self.control.count / ticks:.4g}"


def _mean(batch: Batch) -> float:
    return sum(batch.values) / len(batch.values)


def _allow(value: float, tolerance: float) -> float:
    return value * (1 + tolerance) if value > 0 else value / (1 + tolerance)
