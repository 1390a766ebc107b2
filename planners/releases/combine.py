"""One error budget over several metrics.

E-values are averaged with the metrics' weights: the average is an e-value again under any dependence
(Vovk and Wang 2021, "E-values: calibration, combination, and applications", Annals of Statistics), and never
weaker than a Bonferroni correction with the same weights. Where evidence is 1/p, Bonferroni it is.
Which metrics are named harmful is decided by e-BH (Wang and Ramdas 2022, JRSS B), weighted.
"""

import math
from collections.abc import Mapping

import numpy as np

from planners.releases.ratio import log_sum_exp


def average(log_evidence: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Log of the weighted mean of e-values; weights add up to at most 1, the rest counts as evidence 1."""
    rest = max(1.0 - sum(weights[name] for name in log_evidence), 0.0)
    terms = [log_evidence[name] + math.log(weights[name]) for name in log_evidence]
    if rest > 1e-12:
        terms.append(math.log(rest))
    return log_sum_exp(np.array(terms))


def bonferroni(log_evidence: Mapping[str, float], weights: Mapping[str, float]) -> float:
    """Log of the largest weighted evidence: 1 over the weighted Bonferroni p-value."""
    return max((value + math.log(weights[name]) for name, value in log_evidence.items()), default=-math.inf)


def harmful(log_evidence: Mapping[str, float], weights: Mapping[str, float], error: float) -> set[str]:
    """Names of the metrics that weighted e-BH finds harmful with false discovery rate at most `error`.

    With k metrics rejected, each holds evidence * weight of at least 1 / (error * k).
    """
    scores = {name: value + math.log(weights[name]) for name, value in log_evidence.items()}
    ranked = sorted(scores, key=lambda name: (-scores[name], name))
    best = 0
    for count, name in enumerate(ranked, start=1):
        if scores[name] >= -math.log(error * count):
            best = count
    return set(ranked[:best])
