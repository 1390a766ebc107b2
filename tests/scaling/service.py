"""A simulated service and generated loads, to judge decisions as an operator would."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from planners.scaling import ScalePolicy
from planners.scaling.shadow import advance, first_shadow
from streams.scaling import ScaleConfig, TargetScaler

Load = NDArray[np.float64]
MINUTE_MS = 60_000
DAY = 1440
START_MS = 1_700_438_400_000  # a Monday, 00:00 UTC


@dataclass(frozen=True)
class Ride:
    """What a load was served with, per minute: replicas paid, replicas serving, and the load in replicas."""

    paid: NDArray[np.int64]
    ready: NDArray[np.int64]
    need: Load

    def cost(self, start: int = 0, stop: int | None = None) -> float:
        """Replica-hours."""
        return float(self.paid[start:stop].sum()) / 60.0

    def breach_minutes(self, start: int = 0, stop: int | None = None) -> int:
        """Minutes with more load than the ready replicas can serve."""
        return int((self.need > self.ready + 1e-9)[start:stop].sum())

    def incidents(self, start: int = 0, stop: int | None = None) -> int:
        """Breaches, those within five minutes counted as one."""
        at = np.flatnonzero((self.need > self.ready + 1e-9)[start:stop])
        return 0 if len(at) == 0 else 1 + int((np.diff(at) > 5).sum())

    def least_cost(self, start: int = 0, stop: int | None = None) -> float:
        """Replica-hours of an oracle that knows the next two minutes."""
        padded = np.concatenate([self.need, np.repeat(self.need[-1], 2)])
        ahead = np.lib.stride_tricks.sliding_window_view(padded, 3).max(axis=1)
        return float(np.maximum(1, np.ceil(ahead - 1e-9))[start:stop].sum()) / 60.0


def ride(load: Load, config: ScaleConfig) -> Ride:
    """Scale a service of one-minute samples; a value is known, and acted on, when its minute is over."""
    capacity = config.capacity
    assert capacity is not None
    scaler = TargetScaler(config)
    wanted = np.empty(len(load) + 1, dtype=np.int64)
    wanted[0] = max(config.min, int(np.ceil(load[0] / capacity)))
    for minute, value in enumerate(load):
        _, decision = scaler.observe(START_MS + minute * MINUTE_MS, float(value), int(wanted[minute]))
        wanted[minute + 1] = decision.replicas if decision is not None else wanted[minute]
    lag = round(config.startup_s / 60.0)
    padded = np.concatenate([np.repeat(wanted[0], lag), wanted[:-1]])
    ready = np.lib.stride_tricks.sliding_window_view(padded, lag + 1).min(axis=1)
    return Ride(paid=wanted[:-1], ready=ready, need=load / capacity)


def reactive_ride(load: Load, config: ScaleConfig) -> Ride:
    """The HPA at its target on the same service, deciding every 15 s with the load as it is."""
    policy: ScalePolicy = config.policy(config.capacity or 1.0)
    shadow = first_shadow(policy, START_MS - MINUTE_MS, float(load[0]))
    paid, ready = [], []
    for minute, value in enumerate(load):
        paid.append(shadow.wanted)
        ready.append(shadow.running)
        shadow = advance(policy, shadow, START_MS + minute * MINUTE_MS, float(value))
    return Ride(paid=np.array(paid), ready=np.array(ready), need=load / policy.capacity)


def noisy(shape: Load, rng: np.random.Generator, relative: float = 0.03) -> Load:
    """The shape with gaussian noise of that relative size."""
    return np.maximum(shape * (1.0 + relative * rng.standard_normal(len(shape))), 0.0)


def by_day(days: int, of_day: Callable[[int], tuple[float, float]]) -> Load:
    """A load with one hump a day; `of_day` gives base and height of each day."""
    minutes = np.arange(DAY)
    hump = np.exp(-(((minutes - 780) / 200.0) ** 2))
    return np.concatenate([base + height * hump for base, height in (of_day(day) for day in range(days))])
