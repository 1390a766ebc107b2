"""Sequential test of a rate: failures of requests in a canary and in its concurrent control.

Per step, given the failures of both arms together, the canary's number is hypergeometric where the arms are
alike, and Fisher's noncentral hypergeometric at an odds ratio otherwise. That holds for any rate, which
may change from step to step. Method: `ratio`.
"""

import math

import msgspec

from planners.releases.batch import Batch, Estimate
from planners.releases.config import MetricSpec
from planners.releases.partitions import hypergeometric
from planners.releases.ratio import RatioEvidence


class RateTest(msgspec.Struct, tag="rate"):
    """Evidence on the odds of failing, canary to control.

    With `harm` "down" the counts are successes, and failures are the rest of the total: odds
    ratios are the same on both sides, so tolerances keep their meaning.
    """

    harm: str
    negligible: float
    odds: RatioEvidence
    canary: Batch = Batch()
    control: Batch = Batch()

    @classmethod
    def of(cls, spec: MetricSpec, term_margin: float) -> "RateTest":
        """An empty test of `spec`; harm is bounded by its margin and by `term_margin`."""
        evidence = RatioEvidence(spec.tolerance, (spec.margin, max(term_margin, spec.margin)))
        return cls(spec.harm, spec.negligible, evidence)

    def add(self, control: Batch, canary: Batch) -> None:
        """Learn one step of both arms; counts and totals are whole numbers, totals positive."""
        failed, of = self._failures(canary), round(canary.total)
        failed_control, of_control = self._failures(control), round(control.total)
        events = failed + failed_control
        self.odds.add(failed, events, lambda ratios: hypergeometric(ratios, events, of, of_control))
        self.canary += Batch(failed, of)
        self.control += Batch(failed_control, of_control)

    def log_harm(self) -> float:
        """Log e-value against harm within the tolerance."""
        return self.odds.log_harm()

    def log_safe(self, index: int) -> float:
        """Log e-value against harm beyond margin `index`, or against a rate that is not negligible."""
        return max(self.odds.log_safe(index), self._log_negligible()) - math.log(2)

    def estimate(self, error: float) -> Estimate:
        """The odds ratio and its confidence sequence."""
        return self.odds.estimate(error)

    def words(self) -> str:
        """The two rates."""
        return f"{_share(self.canary)} against {_share(self.control)} failing"

    def _failures(self, batch: Batch) -> int:
        return round(batch.count if self.harm == "up" else batch.total - batch.count)

    def _log_negligible(self) -> float:
        """Log e-value against a canary rate of at least `negligible`, for half that rate or less.

        Likelihood ratio of binomials, a supermartingale at every rate above `negligible`.
        """
        limit, failed, passed = self.negligible, self.canary.count, self.canary.total - self.canary.count
        if not 0 < limit < 1:
            return 0.0
        half = limit / 2
        none = passed * -math.log1p(-limit) if not failed else -math.inf
        some = failed * math.log(half / limit) + passed * (math.log1p(-half) - math.log1p(-limit))
        return max(none, some) - math.log(2)


def _share(batch: Batch) -> str:
    return f"{100 * batch.count / batch.total:.3g} %" if batch.total else "nothing"
