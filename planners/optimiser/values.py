"""What the targets of a cluster need, and what there is for all of them."""

import math
from collections.abc import Mapping

import msgspec


class ClusterError(ValueError):
    """A demand or a limit cannot be planned with; the text names it and what was expected."""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What one target is expected to need.

    `quantiles[i]` is the quantile `levels[i]` of its load until the next plan takes effect, in replicas;
    both ascend. `price` is what a replica costs an hour, `penalty` what an hour of load costs that one more
    would have served, `uses` what a replica takes of each shared resource. A higher `priority` is served
    first. `current` is its count now, None where it is not known.
    """

    target: str
    levels: tuple[float, ...]
    quantiles: tuple[float, ...]
    price: float = 1.0
    penalty: float = 12.0
    priority: int = 0
    least: int = 1
    most: int = 1_000
    uses: Mapping[str, float] = {}
    current: int | None = None

    def __post_init__(self) -> None:
        where = f"target {self.target}"
        if not self.levels or len(self.levels) != len(self.quantiles):
            raise ClusterError(f"{where}: {len(self.levels)} levels and {len(self.quantiles)} quantiles")
        if list(self.levels) != sorted(set(self.levels)) or not all(0.0 < each < 1.0 for each in self.levels):
            raise ClusterError(f"{where}: levels {self.levels}, expected them to ascend in 0 to 1")
        if not all(0.0 <= each < math.inf for each in self.quantiles):
            raise ClusterError(f"{where}: quantiles {self.quantiles}, expected numbers of zero or more")
        if list(self.quantiles) != sorted(self.quantiles):
            raise ClusterError(f"{where}: quantiles {self.quantiles}, expected them to ascend")
        if not 0 <= self.least <= self.most:
            raise ClusterError(
                f"{where}: from {self.least} to {self.most} replicas, expected 0 <= min <= max"
            )
        amounts = {"price": self.price, "penalty": self.penalty} | dict(self.uses)
        for name, value in amounts.items():
            if not 0.0 <= value < math.inf:
                raise ClusterError(f"{where}: {name} is {value}, expected a number of zero or more")


class ClusterLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What all targets share: `capacity` of each resource, and a `budget` per hour (None: no limit)."""

    capacity: Mapping[str, float] = {}
    budget: float | None = None

    def __post_init__(self) -> None:
        for name, value in {**self.capacity, "budget": self.budget or 0.0}.items():
            if not 0.0 <= value < math.inf:
                raise ClusterError(f"{name} is {value}, expected a number of zero or more")
