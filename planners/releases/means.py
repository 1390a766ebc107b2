"""Sequential test of a mean: revenue, sizes, durations of a canary beside its control.

Per step the difference of the arms' means is taken, so a level that both arms share cancels. The sum of
the differences, weighted by how precise they are, is compared with its own estimated variance by a mixture of
normals over the drift (Robbins 1970; one-sided: Howard, Ramdas, McAuliffe and Sekhon 2021, "Time-uniform,
nonparametric, nonasymptotic confidence sequences", Annals of Statistics). Since the variance is estimated,
the guarantee is asymptotic (Waudby-Smith et al. 2024, "Time-uniform central limit theory and asymptotic
confidence sequences", Annals of Statistics); nothing is concluded before `LEAST` values an arm.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from planners.releases.batch import Batch, Estimate
from planners.releases.config import MetricSpec

LEAST = 50
# The mixture is tightest after about this many values on the smaller arm.
_TUNED = 500.0


class Arm(msgspec.Struct):
    """One arm: values so far, their weighted sum of step means, and their spread within steps."""

    count: int = 0
    total: float = 0.0
    weighted: float = 0.0
    weights: float = 0.0
    squares: float = 0.0
    freedom: int = 0

    def add(self, values: NDArray[np.float64], weight: float) -> None:
        """Learn one step's values; `weight` is that of its mean in the comparison."""
        mean = float(values.mean())
        self.count += len(values)
        self.total += float(values.sum())
        self.weighted += weight * mean
        self.weights += weight**2 / len(values)
        self.squares += float(((values - mean) ** 2).sum())
        self.freedom += len(values) - 1

    @property
    def variance(self) -> float:
        """Of the weighted sum of step means."""
        return self.weights * self.squares / self.freedom if self.freedom else math.inf

    @property
    def mean(self) -> float:
        """Of all values."""
        return self.total / self.count if self.count else 0.0


class MeanTest(msgspec.Struct, tag="mean"):
    """Evidence on the ratio of means, canary to control, whose values are of one sign."""

    harm: str
    tolerance: float
    margins: tuple[float, ...]
    canary: Arm = msgspec.field(default_factory=Arm)
    control: Arm = msgspec.field(default_factory=Arm)
    size: float = 0.0

    @classmethod
    def of(cls, spec: MetricSpec, term_margin: float) -> "MeanTest":
        """An empty test of `spec`; harm is bounded by its margin and by `term_margin`."""
        return cls(spec.harm, spec.tolerance, (spec.margin, max(term_margin, spec.margin)))

    def add(self, control: Batch, canary: Batch) -> None:
        """Learn one step of both arms, each with at least one value."""
        ours, theirs = np.asarray(canary.values), np.asarray(control.values)
        # The variance of a difference of means is proportional to the inverse of this.
        weight = len(ours) * len(theirs) / (len(ours) + len(theirs))
        self.canary.add(ours, weight)
        self.control.add(theirs, weight)
        self.size += weight

    def log_harm(self) -> float:
        """Log e-value against harm within the tolerance."""
        return self._log_evidence(self._worse_by(self.tolerance), self.tolerance)

    def log_safe(self, index: int) -> float:
        """Log e-value against harm beyond margin `index`."""
        return self._log_evidence(-self._worse_by(self.margins[index]), self.margins[index])

    def estimate(self, error: float) -> Estimate:
        """The ratio of means and its confidence sequence."""
        variance, tuned = self._variance(0.0)
        if not self._ready() or self.control.weighted == 0:
            return Estimate(1.0, 0.0, math.inf)
        wide = math.sqrt(
            (variance + tuned) * (math.log((variance + tuned) / tuned) + 2 * math.log(1 / error))
        )
        ratio, wide = self.canary.weighted / self.control.weighted, wide / abs(self.control.weighted)
        return Estimate(ratio, ratio - wide, ratio + wide)

    def words(self) -> str:
        """The two means."""
        return f"mean {self.canary.mean:.4g} against {self.control.mean:.4g}"

    def _worse_by(self, allowed: float) -> float:
        """The weighted sum of how much worse the canary was, beyond a relative harm of `allowed`."""
        sign = 1.0 if self.harm == "up" else -1.0
        return sign * (self.canary.weighted - self.control.weighted) - allowed * abs(self.control.weighted)

    def _variance(self, allowed: float) -> tuple[float, float]:
        """The variance of that sum, and the mixture's own variance."""
        variance = self.canary.variance + (1 + allowed) ** 2 * self.control.variance
        return variance, variance / self.size * _TUNED if self.size else 1.0

    def _ready(self) -> bool:
        return min(self.canary.freedom, self.control.freedom) >= LEAST

    def _log_evidence(self, drifted: float, allowed: float) -> float:
        variance, tuned = self._variance(allowed)
        if not self._ready() or variance == 0:
            return 0.0
        score = drifted / math.sqrt(variance + tuned)
        return math.log(2) + 0.5 * math.log(tuned / (variance + tuned)) + _log_mills(score)


def _log_mills(score: float) -> float:
    """Log of Phi(score) / exp(-score² / 2), Phi the normal distribution function."""
    if score < -20.0:  # where Phi underflows: its leading term (Gordon 1941)
        return -math.log(-score * math.sqrt(2 * math.pi))
    return 0.5 * score**2 + math.log(0.5 * math.erfc(-score / math.sqrt(2)))
