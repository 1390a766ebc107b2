"""What the release judge is measured against: the fixed-horizon test, and Kayenta's rule."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, ttest_ind

Floats = NDArray[np.float64]


def fixed_horizon_steps(
    before: float, after: float, canary: int, control: int, error: float, power: float
) -> int:
    """Steps after which a one-sided two-proportion z-test has its `power`; a step brings both arms' requests.

    The textbook sample size (Fleiss, Levin and Paik 2003, chapter 4); the test is allowed to know both rates.
    """
    ratio = control / canary
    pooled = (after + ratio * before) / (1 + ratio)
    under_null = norm.isf(error) * math.sqrt(pooled * (1 - pooled) * (1 + 1 / ratio))
    under_harm = norm.ppf(power) * math.sqrt(after * (1 - after) + before * (1 - before) / ratio)
    return math.ceil(((under_null + under_harm) / (after - before)) ** 2 / canary)


def z_test_rejects(failed: float, of: float, failed_control: float, of_control: float, error: float) -> bool:
    """The one-sided two-proportion z-test at one look."""
    pooled = (failed + failed_control) / (of + of_control)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / of + 1 / of_control))
    return bool(spread > 0 and (failed / of - failed_control / of_control) / spread > norm.isf(error))


def mean_test_rejects(canary: Floats, control: Floats, error: float) -> bool:
    """Welch's one-sided t-test of means at one look."""
    return bool(ttest_ind(canary, control, equal_var=False, alternative="greater").pvalue < error)


def kayenta_rejects(
    canary: Floats, control: Floats, confidence: float = 0.98, tolerance: float = 0.25
) -> bool:
    """Kayenta's verdict "High" on one metric, one value per step and arm.

    A Mann-Whitney confidence interval of the location shift whose lower end exceeds `tolerance` times the
    Hodges-Lehmann estimate, as in Netflix's Kayenta, MannWhitneyClassifier.
    """
    differences = np.sort(np.subtract.outer(canary, control).ravel())
    if differences[0] == differences[-1]:
        return False
    size, other = len(canary), len(control)
    ranks = np.concatenate([canary, control])
    _, ties = np.unique(ranks, return_counts=True)
    total = size + other
    tied = float((ties**3 - ties).sum()) / (total * (total - 1))
    spread = math.sqrt(size * other / 12 * (total + 1 - tied))
    low = math.floor(size * other / 2 - norm.ppf((1 + confidence) / 2) * spread - 0.5)
    if low < 0:
        return False
    return bool(differences[low] > tolerance * abs(float(np.median(differences))))
