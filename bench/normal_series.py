"""Generated series in which nothing is wrong: what a calibrated detector should seldom alarm on."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter  # River brings SciPy

F64 = NDArray[np.float64]
Rng = np.random.Generator
Make = Callable[[Rng, F64], F64]

CADENCES_S = {60: 12, 300: 24, 3600: 52}  # seconds to weeks
START_MS = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class NormalSeries:
    """One series: times in Unix ms, values, and its length in days."""

    kind: str
    cadence_s: int
    times: NDArray[np.int64]
    values: F64

    @property
    def days(self) -> float:
        return len(self.times) * self.cadence_s / 86_400


def normal_series(
    seed: int = 0, *, weeks: float | None = None, kinds: "Mapping[str, Make] | None" = None
) -> Iterator[NormalSeries]:
    """Every kind (of `KINDS`) at every cadence, made from `seed`; `weeks` long, or as `CADENCES_S` says."""
    for cadence, own_weeks in CADENCES_S.items():
        count = int((weeks or own_weeks) * 604_800 / cadence)
        seconds = np.arange(count) * float(cadence)
        for number, (kind, make) in enumerate((kinds or KINDS).items()):
            rng = np.random.default_rng([seed, cadence, number])
            yield NormalSeries(kind, cadence, START_MS + 1000 * seconds.astype(np.int64), make(rng, seconds))


def _day(seconds: F64) -> F64:
    """A sine over the day."""
    return np.sin(2 * np.pi * seconds / 86_400)


def _autoregressive(rng: Rng, count: int, memory: float) -> F64:
    """A first-order autoregressive process of unit variance."""
    values: F64 = lfilter([1.0], [1.0, -memory], rng.normal(0.0, np.sqrt(1.0 - memory**2), count))
    return values


def _week(rng: Rng, seconds: F64) -> F64:
    """Office hours: a daily wave on weekdays, a low weekend."""
    weekend = (seconds // 86_400) % 7 >= 5
    return 50.0 + np.where(weekend, 4.0, 20.0) * (1.0 + _day(seconds)) + rng.normal(0.0, 1.5, len(seconds))


KINDS: Mapping[str, Make] = {
    "Gaussian": lambda rng, t: rng.normal(0.0, 1.0, len(t)),
    "Student t (3)": lambda rng, t: rng.standard_t(3, len(t)),
    "log-normal (0.7)": lambda rng, t: np.exp(rng.normal(0.0, 0.7, len(t))),
    "exponential": lambda rng, t: rng.exponential(1.0, len(t)),
    "dense counts": lambda rng, t: rng.poisson(200.0, len(t)).astype(np.float64),
    "sparse counts": lambda rng, t: rng.poisson(0.3, len(t)).astype(np.float64),
    "zero-heavy": lambda rng, t: np.where(rng.random(len(t)) < 0.02, rng.poisson(3.0, len(t)), 0).astype(
        np.float64
    ),
    "bounded (0 to 100)": lambda rng, t: np.clip(rng.normal(80.0, 12.0, len(t)), 0.0, 100.0),
    "daily wave": lambda rng, t: 10.0 + 5.0 * _day(t) + rng.normal(0.0, 1.0, len(t)),
    "daily counts": lambda rng, t: rng.poisson(5.0 + 4.0 * _day(t)).astype(np.float64),
    "weekly wave": _week,
    "bursty": lambda rng, t: 10.0 + (2.0 + _day(t)) * rng.exponential(1.0, len(t)),
    "autoregressive (0.9)": lambda rng, t: _autoregressive(rng, len(t), 0.9),
    "autoregressive (0.99)": lambda rng, t: _autoregressive(rng, len(t), 0.99),
    "trend": lambda rng, t: 5.0 * t / 604_800 + rng.normal(0.0, 1.0, len(t)),
}

# Kinds that the detector's constants were not chosen on.
OTHER_KINDS: Mapping[str, Make] = {
    "Laplace": lambda rng, t: rng.laplace(0.0, 1.0, len(t)),
    "gamma (2)": lambda rng, t: rng.gamma(2.0, 1.0, len(t)),
    "uniform": lambda rng, t: rng.uniform(0.0, 1.0, len(t)),
    "beta (2, 8)": lambda rng, t: rng.beta(2.0, 8.0, len(t)),
    "Student t (4), daily": lambda rng, t: 20.0 + 5.0 * _day(t) + rng.standard_t(4, len(t)),
    "negative binomial": lambda rng, t: rng.negative_binomial(2, 0.1, len(t)).astype(np.float64),
    "log autoregressive (0.8)": lambda rng, t: np.exp(0.5 * _autoregressive(rng, len(t), 0.8)),
    "two levels": lambda rng, t: (
        np.where(rng.random(len(t)) < 0.3, 20.0, 10.0) + rng.normal(0.0, 1.0, len(t))
    ),
    "trend, daily": lambda rng, t: 2.0 * t / 604_800 + 5.0 * _day(t) + rng.normal(0.0, 1.0, len(t)),
}
