"""The probability that each variant is the best, and traffic split by it (Thompson 1933).

Posteriors are normal: of log odds with half an event added on both sides (Gart 1966) for rates, of the mean
for values. The integral over the largest of several normals is taken on a grid, so the same data give the
same answer and no random numbers are needed. Unlike the confidence sequences it is no licence to stop: it
is a summary of belief under flat priors.
"""

import math
from collections.abc import Mapping

import numpy as np

Normal = tuple[float, float]


def log_odds(count: float, total: float) -> Normal:
    """Mean and standard deviation of the log odds of `count` events in `total`."""
    events, rest = count + 0.5, total - count + 0.5
    return math.log(events / rest), math.sqrt(1 / events + 1 / rest)


def probability_best(posteriors: Mapping[str, Normal]) -> dict[str, float]:
    """For each variant, the probability that its value is the largest; they add up to 1.

    `posteriors` are means and positive standard deviations.

    >>> chances = probability_best({"a": (0.0, 1.0), "b": (0.0, 1.0)})
    >>> round(chances["a"], 6)
    0.5
    """
    names = list(posteriors)
    means = np.array([posteriors[name][0] for name in names])
    spreads = np.array([posteriors[name][1] for name in names])
    low, high = float((means - 8 * spreads).min()), float((means + 8 * spreads).max())
    # Every posterior gets its own fine grid, so that a narrow one beside a wide one is not missed.
    points = np.unique(
        np.concatenate([np.linspace(low, high, 2001), *(means[:, None] + spreads[:, None] * _NODES)])
    )
    scores = (points - means[:, None]) / spreads[:, None]
    below = 0.5 * (1 + _erf(scores / math.sqrt(2)))
    density = np.exp(-0.5 * scores**2) / (spreads[:, None] * math.sqrt(2 * math.pi))
    chances = []
    for index in range(len(names)):
        others = np.prod(np.delete(below, index, axis=0), axis=0)
        chances.append(float(np.trapezoid(density[index] * others, points)))
    total = sum(chances)
    return {name: chance / total for name, chance in zip(names, chances, strict=True)}


def thompson_split(posteriors: Mapping[str, Normal], floor: float = 0.05) -> dict[str, float]:
    """Shares of the traffic that match the probabilities of being best, each at least `floor`.

    Raises:
        ValueError: the floors alone exceed all the traffic.
    """
    if floor * len(posteriors) > 1:
        raise ValueError(f"a floor of {floor} for {len(posteriors)} variants is more than all traffic")
    free = 1 - floor * len(posteriors)
    return {name: floor + free * chance for name, chance in probability_best(posteriors).items()}


_NODES = np.linspace(-8, 8, 401)
_erf = np.vectorize(math.erf, otypes=[np.float64])
