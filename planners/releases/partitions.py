"""Log partition functions of the conditional laws of "how many of all events were the canary's"."""

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def binomial(log_ratios: Floats, events: float, share: float) -> Floats:
    """log E[ratio ** X] for X binomial(`events`, `share`): events of two Poisson streams.

    `share` is the canary's part of the exposure, in (0, 1). Returns one value per ratio.
    """
    result: Floats = events * np.log1p(share * np.expm1(log_ratios))
    return result


def hypergeometric(log_ratios: Floats, events: int, canary: int, control: int) -> Floats:
    """log E[ratio ** X] for X hypergeometric: `events` drawn from `canary` + `control` requests.

    The tilted law is Fisher's noncentral hypergeometric with that odds ratio (Fisher 1935).
    """
    support, log_mass = _hypergeometric_mass(events, canary, control)
    tilted = np.multiply.outer(log_ratios, support) + log_mass
    top = tilted.max(axis=1)
    result: Floats = top + np.log(np.exp(tilted - top[:, None]).sum(axis=1))
    return result


@lru_cache(maxsize=1024)
def _hypergeometric_mass(events: int, canary: int, control: int) -> tuple[Floats, Floats]:
    low, high = max(0, events - control), min(events, canary)
    support = np.arange(low, high + 1, dtype=np.float64)
    x = support[:-1]
    steps = np.log((canary - x) * (events - x)) - np.log((x + 1) * (control - events + x + 1))
    log_mass = np.concatenate([[0.0], np.cumsum(steps)])
    top = log_mass.max()
    log_mass -= top + math.log(float(np.exp(log_mass - top).sum()))
    return support, log_mass
