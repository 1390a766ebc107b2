"""Sequential test of a distribution at several quantiles: latencies of a canary beside its control.

Per step the values of both arms beyond a threshold are counted. Where the arms are alike, the canary's
number among them is hypergeometric: given the pooled values of the step, the labels are exchangeable
(Fisher 1935; Lehmann 1975, "Nonparametrics"), whatever the distribution, and it may change from step to
step. The thresholds are quantiles of the pool of this step and recent ones, so they never look at the
labels of this step. A heavier tail, a shifted body or both move some level's number. Evidence is averaged
over the levels, so that no correction for their number is lost. Method: `ratio`.
"""

import math
from functools import partial

import msgspec
import numpy as np
from numpy.typing import NDArray

from planners.releases.batch import Batch, Estimate
from planners.releases.config import MetricSpec
from planners.releases.partitions import hypergeometric
from planners.releases.ratio import RatioEvidence, log_sum_exp

Floats = NDArray[np.float64]

LEVELS = (0.5, 0.9, 0.99, 0.998)
# Values of each arm that are remembered, so that thin steps still have a tail to speak of.
_RECENT = 1000


class QuantileTest(msgspec.Struct, tag="values"):
    """Evidence per level on the odds of lying in the pool's tail, canary to control.

    Tolerance and margins are relative sizes: the control's values are scaled up by them before pooling,
    so that the test asks for more harm than that. One `RatioEvidence` per level for harm, and one per
    level and margin for safety. `recent` are the last values of both arms, higher being worse.
    """

    harm: str
    tolerance: float
    margins: tuple[float, ...]
    worse: list[RatioEvidence]
    bounded: list[list[RatioEvidence]]
    recent_canary: list[float] = msgspec.field(default_factory=list)
    recent_control: list[float] = msgspec.field(default_factory=list)
    canary: int = 0
    control: int = 0

    @classmethod
    def of(cls, spec: MetricSpec, term_margin: float) -> "QuantileTest":
        """An empty test of `spec`; harm is bounded by its margin and by `term_margin`."""
        margins = (spec.margin, max(term_margin, spec.margin))
        worse = [RatioEvidence(0.0, ()) for _ in LEVELS]
        bounded = [[RatioEvidence(0.0, (0.0,)) for _ in LEVELS] for _ in margins]
        return cls(spec.harm, spec.tolerance, margins, worse, bounded)

    def add(self, control: Batch, canary: Batch) -> None:
        """Learn one step of both arms, each with at least one value."""
        sign = 1.0 if self.harm == "up" else -1.0
        ours, theirs = sign * np.asarray(canary.values), sign * np.asarray(control.values)
        self.recent_canary = [*self.recent_canary, *ours.tolist()][-_RECENT:]
        self.recent_control = [*self.recent_control, *theirs.tolist()][-_RECENT:]
        self._learn(self.worse, ours, theirs, self.tolerance)
        for margin, tests in zip(self.margins, self.bounded, strict=True):
            self._learn(tests, ours, theirs, margin)
        self.canary += len(ours)
        self.control += len(theirs)

    def log_harm(self) -> float:
        """Log of the mean e-value over the levels."""
        return log_sum_exp(np.array([test.log_harm() for test in self.worse])) - math.log(len(LEVELS))

    def log_safe(self, index: int) -> float:
        """Log of the least e-value over the levels: harm is bounded where it is bounded at each."""
        return min(test.log_safe(0) for test in self.bounded[index])

    def estimate(self, error: float) -> Estimate:
        """The odds of lying in the pool's tail, and their confidence sequence, at the level that speaks."""
        return self.worse[self._speaking()].estimate(error / len(LEVELS))

    def words(self) -> str:
        """The quantiles at the level that speaks."""
        if not self.canary:
            return "no values"
        level, sign = LEVELS[self._speaking()], 1.0 if self.harm == "up" else -1.0
        recent = (self.recent_canary, self.recent_control)
        ours, theirs = (sign * float(np.quantile(values, level)) for values in recent)
        name = f"p{100 * (level if self.harm == 'up' else 1 - level):g}"
        return f"{name} {ours:.4g} against {theirs:.4g}, odds of lying beyond it"

    def _speaking(self) -> int:
        """The level with the most evidence of harm; where none speaks for harm, the 99th percentile."""
        evidence = [test.log_harm() for test in self.worse]
        return int(np.argmax(evidence)) if max(evidence) > 0 else LEVELS.index(0.99)

    def _learn(self, tests: list[RatioEvidence], ours: Floats, theirs: Floats, allowed: float) -> None:
        """Learn a step at each level, the control's values being `allowed` larger than they are."""
        theirs = _enlarge(theirs, allowed)
        pool = np.concatenate([ours, theirs])
        if len(pool) < _RECENT:
            past = _enlarge(np.asarray(self.recent_control), allowed)
            pool = np.concatenate([np.asarray(self.recent_canary), past])
        pool.sort()
        for level, test in zip(LEVELS, tests, strict=True):
            threshold = pool[max(len(pool) - 1 - max(1, round((1 - level) * len(pool))), 0)]
            canary = int((ours > threshold).sum())
            events = canary + int((theirs > threshold).sum())
            test.add(canary, events, partial(_partition, events, len(ours), len(theirs)))


def _partition(events: int, canary: int, control: int, log_ratios: Floats) -> Floats:
    return hypergeometric(log_ratios, events, canary, control)


def _enlarge(values: Floats, tolerance: float) -> Floats:
    """Values a relative `tolerance` larger; negative ones move towards zero."""
    if not tolerance:
        return values
    return np.where(values > 0, values * (1 + tolerance), values / (1 + tolerance))
