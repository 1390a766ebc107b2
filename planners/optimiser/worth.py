"""What replicas of one target are worth: its expected unserved load, in pieces of straight lines."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from planners.optimiser.values import Demand
from planners.scaling.tail import Tail

PIECES = 24  # at most; more would follow the curve closer than a forecast knows it


def unserved(tail: Tail, count: float) -> float:
    """Expected load above `count` replicas, in replicas: the integral of the probability beyond it."""
    x = tail.replicas
    # Beyond the last quantile the probability falls exponentially: its rate is that over one replica.
    end = max(count, x[-1])
    here, further = tail.beyond(end), tail.beyond(end + 1.0)
    total = here / math.log(here / further) if 0.0 < further < here else 0.0  # of one quantile: no tail
    points = [count, *(each for each in x if each > count)]
    for left, right in pairwise(points):
        high, low = tail.beyond(left), tail.beyond(right)
        # Within a piece the log of the probability is a line; below the first quantile it is certain.
        flat = left < x[0] or high <= low
        total += (right - left) * (high if flat else (high - low) / math.log(high / low))
    return total


def breakpoints(demand: Demand, tail: Tail) -> list[int]:
    """Counts between which the worth of a replica is taken to be the same: minimum to maximum."""
    far = math.ceil(min(tail.at(0.9999), 1e9))
    top = max(demand.least, min(demand.most, far))
    inner = {math.floor(x) for x in tail.replicas} | {math.ceil(x) for x in tail.replicas}
    points = sorted({demand.least, top} | {each for each in inner if demand.least < each < top})
    # A wide piece is halved until there are enough of them, or each is one replica.
    while len(points) < PIECES:
        widest = max(range(len(points) - 1), key=lambda i: points[i + 1] - points[i], default=None)
        if widest is None or points[widest + 1] - points[widest] < 2:
            break
        points.insert(widest + 1, (points[widest] + points[widest + 1]) // 2)
    return points


def worth_of_one(demand: Demand) -> float:
    """What an hour of load that nobody serves costs: the penalty, on top of the price of serving it.

    With it a target alone gets the quantile penalty / (penalty + price), as the newsvendor rule has it.
    """
    return demand.penalty + demand.price


def cost_of(demands: Sequence[Demand], counts: Mapping[str, int]) -> float:
    """Expected cost an hour of `counts` by target: replicas, and load that is not served."""
    total = 0.0
    for demand in demands:
        tail = Tail.of(demand.levels, demand.quantiles, 0.0, 1.0)
        count = counts[demand.target]
        total += demand.price * count + worth_of_one(demand) * unserved(tail, count)
    return total
