"""Evidence on the ratio between canary and control, kept as likelihoods on a grid of ratios.

Rates, counts and quantile exceedances all reduce to one question per step: of the `m` events in both
arms together, `x` were the canary's; which ratio explains that? Conditioning on `m` removes the
level that both arms share, so load, seasons and incidents common to both cannot look like harm.

The likelihood ratio of any alternative against the tolerated ratio is a non-negative martingale at the
tolerated ratio and, the family having monotone likelihood ratio, a supermartingale below it. A mixture over
alternatives stays one (method of mixtures: Robbins 1970; for counts: Lindon, Sanden and Shirikian
2022, "Rapid regression detection in software deployments through sequential testing", KDD), so by
Ville's inequality it exceeds 1/error with probability at most error, however often one looks.

Real arms scatter more than the model says: errors come in clumps, hosts differ. Where the steps so far show
that, log evidence is divided by how much (quasi-likelihood: McCullagh and Nelder 1989, chapter 9). Since
the divisor is never below 1, divided evidence passes a threshold only where the undivided passed it, and
the bound above stays.
"""

import math
from collections.abc import Callable
from functools import cache

import msgspec
import numpy as np
from numpy.typing import NDArray

from planners.releases.batch import Estimate

Floats = NDArray[np.float64]
LogPartition = Callable[[Floats], Floats]

# How far beyond the boundary the alternatives lie.
_BEYOND: Floats = np.exp(np.linspace(math.log(1.1), math.log(50.0), 20))
# Bounding harm is about small differences, so there the weights do not favour large ones.
_WITHIN: Floats = np.exp(-np.linspace(math.log(1.05), math.log(4.0), 12))
_LOG_WITHIN: Floats = np.full(len(_WITHIN), -math.log(len(_WITHIN)))
# The grid of the confidence interval: log ratios from -3.5 to 3.5, steps of 0.3 % near 1 and of 15 % far from
# it, so that small effects are resolved as well as large ones. Ratios outside it are reported as its ends.
_LOG_GRID: Floats = 0.02 * np.sinh(np.linspace(-5.86, 5.86, 81))
_LOG_PRIOR: Floats = np.full(len(_LOG_GRID), -math.log(len(_LOG_GRID)))


def log_sum_exp(values: Floats) -> float:
    """log(sum(exp(values))) without overflow; -inf for no values."""
    if not len(values):
        return -math.inf
    top = float(values.max())
    return top if math.isinf(top) else top + math.log(float(np.exp(values - top).sum()))


@cache
def _log_weights(expected: float) -> Floats:
    """How much each alternative is expected: a log-normal around `expected` beyond the boundary."""
    weights = np.exp(-0.5 * ((np.log(_BEYOND) - math.log(expected)) / 0.6) ** 2)
    result: Floats = np.log(weights / weights.sum())
    return result


class RatioEvidence(msgspec.Struct):
    """Log likelihoods gathered so far against three boundaries.

    `expected` is how many times the tolerated ratio harm is expected to be. It decides which harm is found
    soonest, not whether a verdict holds; regressions worth a rollback within minutes are large.

    `harm[j]`: alternative j against the ratio 1 + `tolerance`. `safe[b][j]`: alternative j against the
    ratio 1 + `margins[b]`. `grid[j]`: likelihood of grid ratio j, for the interval. `squares` sums the
    squared standardised residuals of the steps, `sparsity` their inverse variances.
    """

    tolerance: float
    margins: tuple[float, ...]
    expected: float = 3.0
    squares: float = 0.0
    sparsity: float = 0.0
    steps: int = 0
    harm: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(_BEYOND))
    safe: list[list[float]] = msgspec.field(default_factory=list)
    grid: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(_LOG_GRID))
    events: float = 0.0

    def __post_init__(self) -> None:
        self.safe = self.safe or [[0.0] * len(_WITHIN) for _ in self.margins]

    def add(self, canary: float, events: float, log_partition: LogPartition) -> None:
        """Learn that `canary` of `events` were the canary's.

        `log_partition(log_ratios)` is log E[ratio ** canary] at ratio 1, for each of the ratios.
        """
        if not events:
            return
        tolerated = math.log1p(self.tolerance)
        limits = [math.log1p(margin) for margin in self.margins]
        safe = [limit + np.log(_WITHIN) for limit in limits]
        boundaries = np.array([tolerated, *limits])
        ratios: Floats = np.concatenate([boundaries, tolerated + np.log(_BEYOND), *safe, _LOG_GRID])
        likelihood = canary * ratios - log_partition(ratios)
        at = 1 + len(limits)
        self.harm = (self.harm + likelihood[at : at + len(_BEYOND)] - likelihood[0]).tolist()
        at += len(_BEYOND)
        for index in range(len(limits)):
            gain = likelihood[at : at + len(_WITHIN)] - likelihood[1 + index]
            self.safe[index] = (self.safe[index] + gain).tolist()
            at += len(_WITHIN)
        self.grid = (self.grid + likelihood[at:]).tolist()
        self.events += events
        self._learn_scatter(canary, canary * _LOG_GRID - likelihood[at:])

    @property
    def dispersion(self) -> float:
        """How many times the variance between steps surely exceeds the model's, at least 1.

        One standard error is taken off the mean squared residual: a few steps prove nothing.
        """
        if self.steps < 2:
            return 1.0
        freedom = self.steps - 1
        error = math.sqrt((2 + self.sparsity / self.steps) / freedom)
        return max(self.squares / freedom / (1 + error), 1.0)

    def log_harm(self) -> float:
        """Log e-value against "the ratio is at most 1 + tolerance"."""
        return log_sum_exp(np.asarray(self.harm) / self.dispersion + _log_weights(self.expected))

    def log_safe(self, index: int) -> float:
        """Log e-value against "the ratio is at least 1 + margins[index]"."""
        return log_sum_exp(np.asarray(self.safe[index]) / self.dispersion + _LOG_WITHIN)

    def estimate(self, error: float) -> Estimate:
        """The likeliest ratio, with a confidence sequence that holds at every look at once.

        The interval holds all ratios that the uniform mixture over the grid does not reject at `error`.
        """
        grid = np.asarray(self.grid) / self.dispersion
        kept = np.flatnonzero(log_sum_exp(grid + _LOG_PRIOR) - grid < math.log(1 / error))
        best = int(grid.argmax())
        if not self.events or not len(kept):
            return Estimate(1.0, 0.0, math.inf)
        low, high = int(kept[0]), int(kept[-1])
        return Estimate(
            ratio=math.exp(_LOG_GRID[best]),
            lower=math.exp(_LOG_GRID[max(low - 1, 0)]) if low else 0.0,
            upper=math.exp(_LOG_GRID[high + 1]) if high + 1 < len(_LOG_GRID) else math.inf,
        )

    def _learn_scatter(self, canary: float, log_partition: Floats) -> None:
        """Learn how far the step lies from the likeliest ratio; the partition's slopes are the moments."""
        at = min(max(int(np.argmax(self.grid)), 1), len(_LOG_GRID) - 2)
        below, above = _LOG_GRID[at] - _LOG_GRID[at - 1], _LOG_GRID[at + 1] - _LOG_GRID[at]
        slope_below = (log_partition[at] - log_partition[at - 1]) / below
        slope_above = (log_partition[at + 1] - log_partition[at]) / above
        mean = (slope_below * above + slope_above * below) / (below + above)
        variance = max(float(2 * (slope_above - slope_below) / (below + above)), 1e-9)
        self.squares += float(canary - mean) ** 2 / variance
        self.sparsity += 1 / variance
        self.steps += 1
