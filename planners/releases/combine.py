"""One error budget over several metrics.

Each metric holds a share of the budget; shares add up to at most 1. The sum of e-values times their
shares is at most 1 in expectation under any dependence (Vovk and Wang 2021, "E-values: calibration,
combination, and applications", Annals of Statistics), and never weaker than a Bonferroni correction with
the same shares. Where evidence is 1/p instead of an e-value, Bonferroni it is.
"""

import math
from collections.abc import Mapping

import numpy as np

from planners.releases.ratio import log_sum_exp

Logs = Mapping[str, float]


def summed(log_evidence: Logs, shares: Logs) -> float:
    """Log of the sum of e-values times shares: 1/error or more with probability at most error * shares."""
    return log_sum_exp(np.array([log_evidence[name] + math.log(shares[name]) for name in log_evidence]))


def loudest(log_evidence: Logs, shares: Logs) -> float:
    """Log of the largest evidence times share: one over the weighted Bonferroni p-value."""
    return max((value + math.log(shares[name]) for name, value in log_evidence.items()), default=-math.inf)


def discovered(log_evidence: Logs, shares: Logs, error: float) -> set[str]:
    """Names that the weighted e-BH procedure rejects (Wang and Ramdas 2022, JRSS B).

    The k rejected ones hold evidence times share of at least 1 / (error * k) each. Where none is harmful, any
    is rejected with probability at most error * sum of shares, since `summed` then reaches 1 / error.

    >>> from math import log
    >>> sorted(discovered({"a": log(90), "b": log(80), "c": 0.0}, dict.fromkeys("abc", 1 / 3), 0.02))
    ['a', 'b']
    """
    scores = {name: value + math.log(shares[name]) for name, value in log_evidence.items()}
    ranked = sorted(scores, key=lambda name: (-scores[name], name))
    reached = [count for count, name in enumerate(ranked, 1) if scores[name] >= -math.log(error * count)]
    return set(ranked[: max(reached, default=0)])


def separately(log_evidence: Logs, shares: Logs, error: float) -> set[str]:
    """Names whose own evidence times share reaches 1 / error: Bonferroni, for evidence of the form 1/p."""
    needed = -math.log(error)
    return {name for name, value in log_evidence.items() if value + math.log(shares[name]) >= needed}
