"""The plan of least expected cost under shared limits: a linear program, solved by HiGHS, and rounded."""

import heapq
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from scipy.optimize import linprog

from planners.optimiser.values import ClusterLimits, Demand
from planners.optimiser.worth import breakpoints, unserved, worth_of_one
from planners.scaling.tail import Tail


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
    alone = _solve(demands, tails, {}, [each.least for each in demands])
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
    """`width` replicas of target number `owner`; each is worth `gain` more than its price."""

    owner: int
    width: int
    gain: float


def _pieces(number: int, demand: Demand, tail: Tail, have: int) -> list[_Piece]:
    points = [have, *(point for point in breakpoints(demand, tail) if point > have)]
    worth = [worth_of_one(demand) * unserved(tail, point) for point in points]
    gains = [(worth[i] - worth[i + 1]) / (points[i + 1] - points[i]) for i in range(len(points) - 1)]
    return [_Piece(number, points[i + 1] - points[i], gain - demand.price) for i, gain in enumerate(gains)]


def _solve(
    demands: Sequence[Demand], tails: Sequence[Tail], room: Mapping[str, float], given: Sequence[int]
) -> list[int]:
    """Counts of least cost, none below `given`, that take no more than `room` beyond those.

    The worth of replicas is concave, so a linear program takes each target's pieces in their order. Of its
    answer no more targets have a part of a replica than there are limits: those are rounded down, and what
    that leaves is given out one by one. Deterministic, whatever else the machine does.
    """
    pieces = [
        piece
        for number, (demand, tail, have) in enumerate(zip(demands, tails, given, strict=True))
        for piece in _pieces(number, demand, tail, have)
        if piece.gain > 0.0
    ]
    if not pieces:
        return list(given)
    uses = np.array([[_use(demands[piece.owner], name) for piece in pieces] for name in room])
    solved = linprog(
        [-piece.gain for piece in pieces],
        A_ub=uses if len(room) else None,
        b_ub=np.maximum(list(room.values()), 0.0) if len(room) else None,
        bounds=[(0.0, piece.width) for piece in pieces],
        method="highs",
    )
    if solved.x is None:
        raise SolverError(f"no plan for {len(demands)} targets: {solved.message}")
    shares = np.bincount([piece.owner for piece in pieces], weights=solved.x, minlength=len(demands))
    more = np.floor(shares + 1e-6).astype(int).tolist()
    left = {
        name: free - sum(_use(each, name) * extra for each, extra in zip(demands, more, strict=True))
        for name, free in room.items()
    }
    _give_out(demands, pieces, more, left)
    return [have + extra for have, extra in zip(given, more, strict=True)]


def _give_out(
    demands: Sequence[Demand], pieces: Sequence[_Piece], more: list[int], left: dict[str, float]
) -> None:
    """Add replicas to `more` while one that is worth its price fits into what is `left`, the best first."""
    ends: dict[int, list[tuple[int, float]]] = {}  # of each target: up to how many, and what one is worth
    for piece in pieces:
        mine = ends.setdefault(piece.owner, [])
        mine.append(((mine[-1][0] if mine else 0) + piece.width, piece.gain))

    def next_gain(owner: int) -> float:
        return next((gain for end, gain in ends[owner] if more[owner] < end), 0.0)

    waiting = [(-next_gain(owner), owner) for owner in ends]
    heapq.heapify(waiting)
    while waiting:
        worth, owner = heapq.heappop(waiting)
        uses = {name: _use(demands[owner], name) for name in left}
        if worth >= 0.0 or any(use > left[name] + 1e-9 for name, use in uses.items()):
            continue
        more[owner] += 1
        for name, use in uses.items():
            left[name] -= use
        heapq.heappush(waiting, (-next_gain(owner), owner))


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
