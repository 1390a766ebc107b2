"""Compiled recursive least squares, for regressions that follow a stream."""

import math

import numpy as np
from numba import njit

from detectors.forecasting.port import F64

MOST_VARIANCE = 1e4
FIRST_VARIANCE = 10.0
MOST_UNITS = 20.0  # of a regressor or a target, in units of the series' scale
LEAP, LEAP_SHARE = 10.0, 0.3


@njit(cache=True, nogil=True)
def bounded(units: float) -> float:
    """A regressor or target as far as it is learnt from: a load that begins is many times nothing."""
    return min(max(units, -MOST_UNITS), MOST_UNITS)


@njit(cache=True, nogil=True)
def scale_share(size: float, scale: float, usual: float) -> float:
    """How far the scale goes towards a value of that size: further where it is of another order."""
    return max(usual, LEAP_SHARE) if size > LEAP * scale else usual


@njit(cache=True, nogil=True)
def start_regression(covariance: F64) -> None:
    """Put the covariance of a regression's weights in the state of knowing nothing."""
    covariance[:, :] = 0.0
    for i in range(len(covariance)):
        covariance[i, i] = FIRST_VARIANCE


@njit(cache=True, nogil=True)
def regress(weights: F64, covariance: F64, x: F64, error: float, weight: float, forget: float) -> None:
    """One step of weighted recursive least squares with forgetting (Haykin, Adaptive Filter Theory, 2002).

    `error` is the target less its prediction by `weights`, `weight` the precision of this sample.
    Directions that no sample excites would grow without bound under forgetting; they are held.
    """
    size = len(weights)
    gain = np.empty(size)
    norm = forget / weight
    for i in range(size):
        total = 0.0
        for k in range(size):
            total += covariance[i, k] * x[k]
        gain[i] = total
        norm += x[i] * total
    for i in range(size):
        weights[i] += gain[i] / norm * error
    for i in range(size):
        for k in range(size):
            covariance[i, k] = (covariance[i, k] - gain[i] * gain[k] / norm) / forget
    for i in range(size):
        if covariance[i, i] > MOST_VARIANCE:
            shrink = math.sqrt(MOST_VARIANCE / covariance[i, i])
            for k in range(size):
                covariance[i, k] *= shrink
                covariance[k, i] *= shrink
