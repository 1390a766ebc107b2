"""The plan of least expected cost under shared limits: a mixed-integer linear program, solved by HiGHS."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, vstack

from planners.optimiser.values import ClusterLimits, Demand
from planners.optimiser.worth import breakpoints, unserved, worth_of_one
from planners.scaling.tail import Tail

GAP = 1e-4  # of the optimum: closer than any forecast is
TIME_LIMIT_S = 10.0


class SolverError(RuntimeError):
    """The solver found no plan; the text says what it said."""


class Allocation(msgspec.Struct, frozen=True, kw_only=True):
    """What one target gets, and why.

    `alone` is what it would have got without the others; `served` the probability that `replicas` serve
    all of its load.
    """

    target: str
    replicas: int
    alone: int
    served: float
    reasons: tuple[str, ...]


class ClusterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Allocations in the order of the demands, and the limits that keep anyone from having more."""

    allocations: tuple[Allocation, ...]
    binding: tuple[str, ...]

    def counts(self) -> dict[str, int]:
        """Replicas by target."""
        return {each.target: each.replicas for each in self.allocations}


def optimise(demands: Sequence[Demand], limits: ClusterLimits) -> ClusterPlan:
    """Divide what there is among `demands`.

    Minimises, over whole replicas within each minimum and maximum,

        sum of price * n + (penalty + price) * E[(X - n)+]   subject to the capacities and the budget,

    for one priority after the other, the highest first: a lower one gets of what is left. All minima come
    before that; where there is not even room for those, the higher priority keeps more of its own. Without
    shared limits each target gets what the newsvendor rule gives it (Arrow, Harris and Marschak 1951).

    Raises:
        SolverError: the solver gave up.
    """
    tails = [Tail.of(each.levels, each.quantiles, 0.0, 1.0) for each in demands]
    alone = _solve(demands, tails, {}, [0] * len(demands))
    left = _left(limits, demands, [0] * len(demands))
    counts = _minima(demands, left)
    for priority in sorted({demand.priority for demand in demands}, reverse=True):
        chosen = [i for i, demand in enumerate(demands) if demand.priority == priority]
        room = _left(limits, demands, counts)
        mine = [demands[i] for i in chosen]
        given = [counts[i] for i in chosen]
        for i, count in zip(chosen, _solve(mine, [tails[i] for i in chosen], room, given), strict=True):
            counts[i] = count
    room = _left(limits, demands, counts)
    short = [i for i, count in enumerate(counts) if count < alone[i]]
    binding = tuple(
        name for name, free in room.items() if any(_use(demands[i], name) > free + 1e-9 for i in short)
    )
    return ClusterPlan(
        allocations=tuple(
            _allocation(demand, tail, count, by_itself, binding)
            for demand, tail, count, by_itself in zip(demands, tails, counts, alone, strict=True)
        ),
        binding=binding,
    )


BUDGET = "budget"


def _use(demand: Demand, name: str) -> float:
    return demand.price if name == BUDGET else demand.uses.get(name, 0.0)


def _left(limits: ClusterLimits, demands: Sequence[Demand], counts: Sequence[int]) -> dict[str, float]:
    """What is left of each limit with `counts` given."""
    whole = dict(limits.capacity) | ({BUDGET: limits.budget} if limits.budget is not None else {})
    return {
        name: amount - sum(_use(each, name) * count for each, count in zip(demands, counts, strict=True))
        for name, amount in whole.items()
    }


def _minima(demands: Sequence[Demand], room: Mapping[str, float]) -> list[int]:
    """The minima, where there is room for all of them; else replica by replica, by priority and penalty."""
    needed = {name: sum(_use(each, name) * each.least for each in demands) for name in room}
    if all(needed[name] <= room[name] + 1e-9 for name in room):
        return [each.least for each in demands]
    left, counts = dict(room), [0] * len(demands)
    order = sorted(range(len(demands)), key=lambda i: (-demands[i].priority, -demands[i].penalty, i))
    for i in order:
        uses = {name: _use(demands[i], name) for name in left}
        most = [min((left[name] + 1e-9) / use, 1e9) for name, use in uses.items() if use > 0.0]
        counts[i] = min(demands[i].least, max(int(min(most, default=1e9)), 0))
        for name, use in uses.items():
            left[name] -= use * counts[i]
    return counts


class _Piece(NamedTuple):
    """`width` replicas of target number `owner`, each of which is worth `gain`."""

    owner: int
    width: int
    gain: float


def _pieces(number: int, demand: Demand, tail: Tail, have: int) -> list[_Piece]:
    points = [have, *(point for point in breakpoints(demand, tail) if point > have)]
    worth = [worth_of_one(demand) * unserved(tail, point) for point in points]
    return [
        _Piece(number, points[i + 1] - points[i], (worth[i] - worth[i + 1]) / (points[i + 1] - points[i]))
        for i in range(len(points) - 1)
    ]


def _solve(
    demands: Sequence[Demand], tails: Sequence[Tail], room: Mapping[str, float], given: Sequence[int]
) -> list[int]:
    """Counts of least cost, none below `given`, that take no more than `room` beyond those.

    Variables: whole replicas beyond the given ones, and for each target pieces of its concave worth.
    """
    if not demands:
        return []
    pieces = [
        piece
        for number, (demand, tail, have) in enumerate(zip(demands, tails, given, strict=True))
        for piece in _pieces(number, demand, tail, have)
    ]
    count, width = len(demands), len(demands) + len(pieces)
    least = np.array([max(each.least - have, 0) for each, have in zip(demands, given, strict=True)])
    most = np.zeros(count)
    np.add.at(most, [piece.owner for piece in pieces], [piece.width for piece in pieces])
    objective = [*(each.price for each in demands), *(-piece.gain for piece in pieces)]
    # Of each target: its pieces add up to no more than its replicas.
    owners = [piece.owner for piece in pieces]
    rows = np.concatenate([owners, np.arange(count)]).astype(int)
    columns = np.concatenate([np.arange(count, width), np.arange(count)])
    values = np.concatenate([np.ones(len(pieces)), -np.ones(count)])
    matrices = [coo_array((values, (rows, columns)), shape=(count, width))]
    upper = [np.zeros(count)]
    for name, free in room.items():
        uses = [_use(each, name) for each in demands]
        first = (np.zeros(count, dtype=int), np.arange(count))
        matrices.append(coo_array((uses, first), shape=(1, width)))
        upper.append(np.array([max(free, 0.0)]))
    solved = milp(
        np.array(objective),
        integrality=np.concatenate([np.ones(count), np.zeros(len(pieces))]),
        bounds=Bounds(
            np.concatenate([least if not room else np.zeros(count), np.zeros(len(pieces))]),
            np.concatenate([np.maximum(most, least), [piece.width for piece in pieces]]),
        ),
        constraints=LinearConstraint(vstack(matrices).tocsr(), -np.inf, np.concatenate(upper)),
        options={"mip_rel_gap": GAP, "time_limit": TIME_LIMIT_S},
    )
    if solved.x is None:
        raise SolverError(f"no plan for {count} targets: {solved.message}")
    extra = np.rint(solved.x[:count]).astype(int).tolist()
    return [have + more for have, more in zip(given, extra, strict=True)]


def _allocation(demand: Demand, tail: Tail, count: int, alone: int, binding: tuple[str, ...]) -> Allocation:
    served = 1.0 - tail.beyond(count)
    reasons = [
        f"cluster plan: {count} serve a median of {tail.at(0.5):.4g} and a 0.99 quantile of "
        f"{tail.at(0.99):.4g} replicas with probability {served:.4f}, at price {demand.price:g} and penalty "
        f"{demand.penalty:g}"
    ]
    if count < alone:
        held = ", ".join(name for name in binding if _use(demand, name) > 0.0) or "its share"
        reasons.append(
            f"{alone} if it were alone: the others and {held} leave {count} at priority {demand.priority}"
        )
    if count < demand.least:
        reasons.append(f"there is no room for its minimum of {demand.least}")
    return Allocation(
        target=demand.target, replicas=count, alone=alone, served=served, reasons=tuple(reasons)
    )
