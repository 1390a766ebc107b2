"""What placements cost and how late they are."""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from planners.placement.curve import Curve
from planners.placement.values import Job, Node, Placement, largest, share


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of one plan.

    `weighted_tardiness` is the sum of priority times hours late (against the deadline; without one, the
    earliest possible end), `late` the jobs that are. `cost` is what the jobs' parts of their nodes cost,
    carbon included. `wait_h` is the mean time from arrival to start, `makespan_h` from the first arrival
    to the last end.
    """

    jobs: int
    late: int
    weighted_tardiness: float
    cost: float
    wait_h: float
    makespan_h: float


def score(
    jobs: Mapping[str, Job], nodes: Mapping[str, Node], placements: Sequence[Placement], curve: Curve
) -> Score:
    """The figures of `placements`; jobs that are not among them do not count."""
    late = [max(0.0, each.end_s - jobs[each.job].due_s) / 3_600.0 for each in placements]
    weighted = sum(hours * jobs[each.job].priority for hours, each in zip(late, placements, strict=True))
    waits = [each.start_s - jobs[each.job].arrival_s for each in placements]
    first = min((jobs[each.job].arrival_s for each in placements), default=0.0)
    last = max((each.end_s for each in placements), default=0.0)
    reference = largest(nodes.values())
    return Score(
        jobs=len(placements),
        late=sum(hours > 1e-9 for hours in late),
        weighted_tardiness=weighted,
        cost=sum(
            run_cost(jobs[each.job], nodes[each.node], reference, each.start_s, curve) for each in placements
        ),
        wait_h=sum(waits) / max(len(waits), 1) / 3_600.0,
        makespan_h=(last - first) / 3_600.0,
    )


def run_cost(job: Job, node: Node, reference: Node, start_s: float, curve: Curve) -> float:
    """What running `job` on its part of `node` from `start_s` costs, carbon included.

    `reference` is the node that sizes are measured by where `node` has no price.
    """
    rates = curve.cost(np.array([start_s]), job.duration_s)
    price, carbon = float(rates[0, 0]), float(rates[1, 0])
    part = share(job, node)
    rate = share(job, reference) if node.price is None else node.price * part
    return rate * price + node.power_kw * part * carbon
