"""Delays between attempts: exponential with full jitter.

Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Delay number n (from 0) is uniform in [0, min(`cap_s`, `base_s` * 2**n)] seconds."""

    base_s: float = 0.2
    cap_s: float = 10.0

    def delays(self, rng: random.Random) -> Iterator[float]:
        """Endless delays in seconds.

        >>> delays = Backoff(base_s=1.0, cap_s=4.0).delays(random.Random(7))
        >>> [round(next(delays), 2) for _ in range(4)]
        [0.32, 0.3, 2.6, 0.29]
        """
        bound = self.base_s
        while True:
            yield rng.uniform(0.0, min(bound, self.cap_s))
            bound = min(bound * 2, self.cap_s)
