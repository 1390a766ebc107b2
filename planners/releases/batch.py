"""What one arm of a release reported for one metric in one step."""

import msgspec


class Batch(msgspec.Struct, frozen=True):
    """Observations of one arm: `count` of `total` (or per exposure `total`), and single `values`."""

    count: float = 0.0
    total: float = 0.0
    values: tuple[float, ...] = ()

    def __add__(self, other: "Batch") -> "Batch":
        return Batch(self.count + other.count, self.total + other.total, self.values + other.values)

    @property
    def size(self) -> float:
        """Requests, exposure or values in the batch; 0 where the arm had no traffic."""
        return self.total if self.total else float(len(self.values))


class Estimate(msgspec.Struct, frozen=True):
    """The canary relative to its control: a ratio with a confidence interval valid at every look."""

    ratio: float
    lower: float
    upper: float
