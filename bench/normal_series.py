"""Generated series in which nothing is wrong: what a calibrated detector should seldom alarm on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CADENCES_S = {60: 40_320, 300: 16_128, 3600: 4_032}  # seconds to samples: 4, 8 and 24 weeks
START_MS = 1_700_000_000_000
KINDS = ("gaussian", "daily", "counts", "log-normal", "heavy", "wandering", "sparse", "bursty")


@dataclass(frozen=True, slots=True)
class NormalSeries:
    """One series: times in Unix ms, values, and its length in days."""

    kind: str
    cadence_s: int
    times: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def days(self) -> float:
        return len(self.times) * self.cadence_s / 86_400


def normal_series(seed: int = 0) -> Iterator[NormalSeries]:
    """Every kind at every cadence, made from `seed`."""
    for cadence, count in CADENCES_S.items():
        for number, kind in enumerate(KINDS):
            rng = np.random.default_rng([seed, cadence, number])
            seconds = np.arange(count) * cadence
            values = _values(kind, rng, np.sin(2 * np.pi * seconds / 86_400))
            yield NormalSeries(kind, cadence, START_MS + 1000 * seconds, values)


def _values(kind: str, rng: np.random.Generator, day: NDArray[np.float64]) -> NDArray[np.float64]:
    """`day` is the sine of the time of day."""
    count = len(day)
    noise = rng.normal(0.0, 1.0, count)
    match kind:
        case "gaussian":
            values = noise
        case "daily":
            values = 10.0 + 5.0 * day + noise
        case "counts":
            values = rng.poisson(5.0 + 4.0 * day).astype(np.float64)
        case "log-normal":
            values = np.exp(0.7 * noise)
        case "heavy":
            values = rng.standard_t(3, count)
        case "wandering":
            values = np.zeros(count)
            for i in range(1, count):
                values[i] = 0.9 * values[i - 1] + noise[i]
        case "sparse":
            values = np.where(rng.random(count) < 0.02, rng.poisson(3.0, count), 0).astype(np.float64)
        case _:
            values = 10.0 + (2.0 + day) * rng.exponential(1.0, count)
    return values
