"""What an hour costs at a time: the price of power or of machines, and carbon as a price."""

import bisect
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400.0


class CurveError(ValueError):
    """A price curve cannot be used; the text says what was expected."""


class Curve:
    """Price factor and carbon intensity over time, each held until the next; the last day repeats for ever.

    `times_s` ascend (Unix s), `prices` are factors on the nodes' prices, `carbon_g` are g CO2 per kWh.
    `carbon_price` is the price of a tonne. Before the first time the first values hold.
    """

    def __init__(
        self,
        times_s: Sequence[float],
        prices: Sequence[float],
        carbon_g: Sequence[float] | None = None,
        carbon_price: float = 0.0,
    ) -> None:
        self._times = np.asarray(times_s, dtype=np.float64)
        carbon = np.zeros(len(self._times)) if carbon_g is None else np.asarray(carbon_g, dtype=np.float64)
        price = np.asarray(prices, dtype=np.float64)
        if not len(self._times) == len(price) == len(carbon) or len(price) == 0:
            raise CurveError("times, prices and carbon intensities are of different lengths, or empty")
        if not (np.diff(self._times) > 0.0).all():
            raise CurveError("the times of a price curve must ascend")
        if not (np.isfinite(price).all() and np.isfinite(carbon).all()) or min(price.min(), carbon.min()) < 0:
            raise CurveError("prices and carbon intensities must be numbers of zero or more")
        self._rates = np.stack([price, carbon / 1e6 * carbon_price])  # per price unit, per kW, each an hour
        self._grown_to = self._times[-1]

    @classmethod
    def flat(cls) -> "Curve":
        """The same price at all times."""
        return cls([0.0], [1.0])

    def cost(self, start_s: NDArray[np.float64], duration_s: float) -> NDArray[np.float64]:
        """Price-factor-hours and tonne-price-kilowatt-hours of runs from each start: shape (2, starts)."""
        self._grow(float(np.max(start_s)) + duration_s)
        return self._until(start_s + duration_s) - self._until(start_s)

    def changes(self, after_s: float, until_s: float) -> NDArray[np.float64]:
        """Times at which a value changes, within the half-open interval."""
        self._grow(until_s)
        first, last = (int(np.searchsorted(self._times, each, side="right")) for each in (after_s, until_s))
        return self._times[first:last]

    def _until(self, at_s: NDArray[np.float64]) -> NDArray[np.float64]:
        hours = np.diff(self._times) / 3_600.0
        sums = np.concatenate([np.zeros((2, 1)), np.cumsum(self._rates[:, :-1] * hours, axis=1)], axis=1)
        index = np.clip(np.searchsorted(self._times, at_s, side="right") - 1, 0, None)
        past = (at_s - self._times[index]) / 3_600.0
        total: NDArray[np.float64] = sums[:, index] + self._rates[:, index] * past
        return total

    def _grow(self, until_s: float) -> None:
        """Repeat the last day until the time is covered."""
        if until_s <= self._grown_to or len(self._times) == 1:
            return
        end = self._times[-1]
        cycle = self._times > end - DAY_S
        times, rates = self._times[cycle], self._rates[:, cycle]
        days = int(np.ceil((until_s - end) / DAY_S)) + 1
        shifts = DAY_S * np.arange(1, days + 1)
        later = (times[None, :] + shifts[:, None]).ravel()
        self._times = np.concatenate([self._times, later])
        self._rates = np.concatenate([self._rates, np.tile(rates, days)], axis=1)
        self._grown_to = self._times[-1]

    def at(self, at_s: float) -> tuple[float, float]:
        """Price factor and carbon price per kWh at a time."""
        self._grow(at_s)
        index = max(bisect.bisect_right(self._times, at_s) - 1, 0)
        return float(self._rates[0, index]), float(self._rates[1, index])
