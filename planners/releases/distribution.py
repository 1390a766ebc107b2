"""Sequential test of a whole distribution: an anytime-valid Kolmogorov-Smirnov test.

Compares the empirical distribution functions of both arms by the inequality of Dvoretzky, Kiefer and
Wolfowitz made uniform over time (Howard and Ramdas 2022, "Sequential estimation of quantiles with
applications to A/B testing and best-arm identification", Bernoulli 28, corollary 2): with
probability 1 - a, at every n at once, sup |F_n - F| <= 0.85 * sqrt((log log(e n) + 0.8 log(1612 / a)) / n).

It finds a shift of any mass, wherever it is, and bounds all quantiles together; for tails the test of
`quantiles` is far sharper. Unlike that one it needs values that do not depend on when they were taken,
or arms whose shares of the traffic stay the same.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from planners.releases.batch import Batch, Estimate
from planners.releases.config import MetricSpec

_CELLS = 512
_LOG_SMALLEST = -600.0


def band(count: float, log_error: float) -> float:
    """Half width of the band around an empirical distribution function of `count` values, in probability."""
    return 0.85 * math.sqrt((math.log(math.log(math.e * count)) + 0.8 * (math.log(1612) - log_error)) / count)


class DistributionTest(msgspec.Struct, tag="distribution"):
    """Counts of both arms in cells between fixed `edges`, the quantiles of the first step's pool.

    The excess is the largest share of values by which the canary is worse than the control at any edge;
    tolerance and margins are such shares, not relative sizes. `peak` is the log of the most evidence so far.
    """

    harm: str
    tolerance: float
    margins: tuple[float, ...]
    edges: list[float] = msgspec.field(default_factory=list)
    canary: list[int] = msgspec.field(default_factory=list)
    control: list[int] = msgspec.field(default_factory=list)
    peak: float = 0.0

    @classmethod
    def of(cls, spec: MetricSpec, term_margin: float) -> "DistributionTest":
        """An empty test of `spec`; harm is bounded by its margin and by `term_margin`."""
        return cls(spec.harm, spec.tolerance, (spec.margin, max(term_margin, spec.margin)))

    def add(self, control: Batch, canary: Batch) -> None:
        """Learn one step of both arms, each with at least one value."""
        sign = 1.0 if self.harm == "up" else -1.0
        ours, theirs = sign * np.asarray(canary.values), sign * np.asarray(control.values)
        if not self.edges:
            pool = np.unique(np.concatenate([ours, theirs]))
            chosen = np.unique(np.linspace(0, len(pool) - 1, min(len(pool), _CELLS)).astype(int))
            self.edges = pool[chosen].tolist()
            self.canary = [0] * (len(self.edges) + 1)
            self.control = [0] * (len(self.edges) + 1)
        self.canary = self._count(self.canary, ours)
        self.control = self._count(self.control, theirs)
        self.peak = max(self.peak, self._log_inverse_p(self._excess() - self.tolerance))

    def log_harm(self) -> float:
        """Log e-value against an excess within the tolerance.

        The anytime p-value p becomes an e-value by the calibrator 1 / (2 sqrt(p)) (Shafer, Shen, Vereshchagin
        and Vovk 2011; Vovk and Wang 2021), which holds for its running minimum too.
        """
        return max(0.5 * self.peak - math.log(2), 0.0) if self.peak else 0.0

    def log_safe(self, index: int) -> float:
        """Log of 1/p against an excess of at least margin `index`."""
        return self._log_inverse_p(self.margins[index] - self._excess()) if self.edges else 0.0

    def estimate(self, error: float) -> Estimate:
        """One plus the excess, with its confidence sequence."""
        if not self.edges:
            return Estimate(1.0, 0.0, math.inf)
        excess, wide = self._excess(), self._wide(math.log(error))
        return Estimate(1 + excess, 1 + max(excess - wide, 0.0), 1 + min(excess + wide, 1.0))

    def words(self) -> str:
        """The excess and where it is largest."""
        if not self.edges:
            return "nothing observed"
        gaps = self._gaps()
        at = self.edges[int(gaps.argmax())] * (1.0 if self.harm == "up" else -1.0)
        side = "above" if self.harm == "up" else "below"
        return f"{100 * self._excess():.3g} % more of its values {side} {at:.4g}"

    def _count(self, cells: list[int], values: NDArray[np.float64]) -> list[int]:
        at = np.searchsorted(np.asarray(self.edges), values, side="left")
        more = np.bincount(at, minlength=len(cells))
        return [have + int(new) for have, new in zip(cells, more, strict=True)]

    def _gaps(self) -> NDArray[np.float64]:
        """Per edge, the share of the control at or below it minus that of the canary."""
        ours, theirs = np.cumsum(self.canary)[:-1], np.cumsum(self.control)[:-1]
        gaps: NDArray[np.float64] = theirs / sum(self.control) - ours / sum(self.canary)
        return gaps

    def _excess(self) -> float:
        return max(float(self._gaps().max()), 0.0)

    def _wide(self, log_error: float) -> float:
        """Half width of the excess: both arms' bands, each at half of the error."""
        half = log_error - math.log(2)
        return band(sum(self.canary), half) + band(sum(self.control), half)

    def _log_inverse_p(self, beyond: float) -> float:
        """Log of 1/p for an excess `beyond` the boundary: the least error at which the band excludes it."""
        if beyond <= self._wide(0.0):
            return 0.0
        low, high = _LOG_SMALLEST, 0.0
        for _ in range(60):
            middle = (low + high) / 2
            if beyond > self._wide(middle):
                high = middle
            else:
                low = middle
        return -high
