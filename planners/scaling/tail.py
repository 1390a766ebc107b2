"""The upper part of the load's distribution, in replicas, from a few of its quantiles."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tail:
    """Quantiles with the log of the probability beyond them; both tuples ascend in load.

    Between quantiles the log of the probability is linear (an exponential piece); past the last one
    the slope of the last pieces goes on.
    """

    replicas: tuple[float, ...]
    log_beyond: tuple[float, ...]

    @classmethod
    def of(
        cls, levels: Sequence[float], quantiles: Sequence[float], waiting: float, capacity: float
    ) -> "Tail":
        """The tail of a load plus what waits, from finite quantiles that ascend with their levels."""
        return cls(
            replicas=tuple((max(load, 0.0) + waiting) / capacity for load in quantiles),
            log_beyond=tuple(math.log(max(1.0 - level, 1e-12)) for level in levels),
        )

    def _rate(self) -> float:
        """Decay per replica past the last quantile."""
        first = max(0, len(self.replicas) - 3)
        width = self.replicas[-1] - self.replicas[first]
        fall = self.log_beyond[first] - self.log_beyond[-1]
        # A tail of no width would claim certainty; a fiftieth of the load is the least doubt.
        return fall / max(width, 0.02 * self.replicas[-1], 1e-9)

    def beyond(self, count: float) -> float:
        """Probability that the peak exceeds `count` replicas."""
        x, y = self.replicas, self.log_beyond
        if count >= x[-1]:
            return math.exp(y[-1] - self._rate() * (count - x[-1]))
        if count < x[0]:
            return 1.0
        # The last quantile that this count reaches, and the next, which it does not.
        i = bisect_right(x, count)
        share = (count - x[i - 1]) / (x[i] - x[i - 1])
        return math.exp(y[i - 1] + share * (y[i] - y[i - 1]))

    def at(self, level: float) -> float:
        """The quantile `level` in replicas; below the first one known, that one."""
        wanted = math.log(max(1.0 - level, 1e-12))
        x, y = self.replicas, self.log_beyond
        if wanted >= y[0]:
            return x[0]
        if wanted <= y[-1]:
            rate = self._rate()
            return x[-1] + (y[-1] - wanted) / rate if rate > 0.0 else x[-1]
        i = next(k for k in range(1, len(y)) if y[k] <= wanted)
        share = (y[i - 1] - wanted) / (y[i - 1] - y[i])
        return x[i - 1] + share * (x[i] - x[i - 1])
