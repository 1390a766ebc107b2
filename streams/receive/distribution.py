"""Histograms of any origin as counts between bounds: increments, and quantiles of them."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple


class Distribution(NamedTuple):
    """`counts[i]` observations lie in (`bounds[i - 1]`, `bounds[i]`]; the last bound may be infinite.

    The first bucket begins at zero where its bound is positive, else at the bound itself.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]

    @property
    def total(self) -> float:
        """All observations."""
        return math.fsum(self.counts)


def from_cumulative(buckets: Mapping[float, float]) -> Distribution:
    """From Prometheus's classic buckets: observations up to each bound.

    >>> from_cumulative({1.0: 2.0, math.inf: 5.0})
    Distribution(bounds=(1.0, inf), counts=(2.0, 3.0))
    """
    bounds = sorted(buckets)
    below = [0.0, *(buckets[bound] for bound in bounds)]
    counts = [max(0.0, after - before) for before, after in pairwise(below)]
    return Distribution(tuple(bounds), tuple(counts))


def increment(before: Distribution, after: Distribution) -> Distribution:
    """What was observed in between; after a reset (any count went down) all of `after`.

    Buckets that only `before` has count as a reset; such that only `after` has were empty before.
    """
    earlier = dict(zip(before.bounds, before.counts, strict=True))
    later = dict(zip(after.bounds, after.counts, strict=True))
    if any(later.get(bound, 0.0) < count for bound, count in earlier.items()):
        return after
    return Distribution(after.bounds, tuple(later[bound] - earlier.get(bound, 0.0) for bound in after.bounds))


def quantile(q: float, distribution: Distribution) -> float:
    """The quantile `q`, linear within a bucket, as Prometheus's histogram_quantile has it.

    NaN where nothing was observed; the highest finite bound where it lies beyond that.

    >>> quantile(0.5, Distribution((1.0, 2.0, math.inf), (0.0, 10.0, 0.0)))
    1.5
    """
    wanted = q * distribution.total
    if wanted <= 0:
        return math.nan
    below = 0.0
    lower: float | None = None
    for bound, count in zip(distribution.bounds, distribution.counts, strict=True):
        if below + count >= wanted and count > 0:
            start = min(0.0, bound) if lower is None else lower
            if math.isinf(bound):
                return start if lower is not None else math.nan
            if lower is None and bound <= 0:
                return bound
            return start + (bound - start) * (wanted - below) / count
        below += count
        lower = bound
    return lower if lower is not None and math.isfinite(lower) else math.nan


def from_explicit(bounds: Sequence[float], counts: Sequence[float]) -> Distribution:
    """From OTLP's explicit buckets: one more count than bounds, the last one without an upper bound.

    Raises:
        ValueError: their numbers do not fit, or the bounds do not ascend.
    """
    if len(counts) != len(bounds) + 1 or any(a >= b for a, b in pairwise(bounds)):
        raise ValueError(f"{len(bounds)} bounds and {len(counts)} counts make no histogram")
    return Distribution((*bounds, math.inf), tuple(float(count) for count in counts))


def from_exponential(
    scale: int,
    zero: float,
    positive: Mapping[int, float],
    negative: Mapping[int, float],
    zero_threshold: float = 0.0,
) -> Distribution:
    """From base-2 exponential buckets: index `i` holds (base**i, base**(i + 1)], base = 2**(2**-scale).

    That is OTLP's numbering; Prometheus's native histograms number the same buckets from one higher.
    The buckets of negative values are those of their magnitudes.

    Raises:
        ValueError: a bound is beyond a double's range.
    """
    cells: dict[float, float] = {}
    try:
        base = 2.0 ** (2.0**-scale)
        for index, count in negative.items():
            cells[-(base**index)] = count
            cells.setdefault(-(base ** (index + 1)), 0.0)
        if zero or negative:
            cells[zero_threshold] = zero
        for index, count in positive.items():
            cells.setdefault(base**index, 0.0)
            cells[base ** (index + 1)] = count
    except OverflowError as error:
        raise ValueError(f"a bucket of scale {scale} is beyond a double's range") from error
    bounds = sorted(cells)
    return Distribution(tuple(bounds), tuple(cells[bound] for bound in bounds))
