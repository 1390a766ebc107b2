"""In which order waiting jobs are looked at, and what may be done with the gaps: the rules by name."""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

LOOK_AHEAD = 0.5  # times the mean duration: how early an approaching deadline counts
PATIENCE_S = 21_600.0  # a job that has waited so long counts double


class Waiting(msgspec.Struct, frozen=True):
    """The waiting jobs' columns, one row each.

    `since` is when a job began to wait for room, which is later than its arrival where it was deferred;
    `area` is its duration times the part of the cluster that it needs.
    """

    arrival: NDArray[np.float64]
    since: NDArray[np.float64]
    duration: NDArray[np.float64]
    due: NDArray[np.float64]
    priority: NDArray[np.float64]
    area: NDArray[np.float64]


class UnknownRuleError(ValueError):
    """No rule has that name; the text lists the known ones."""


Order = Callable[[Waiting, float], NDArray[np.int64]]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A way to schedule.

    `order` ranks the waiting jobs at a time. With `overtake`, a job that does not fit lets later ones pass,
    except on a node that is being kept for it. With `choose`, a job gets the cheapest and then the
    snuggest node, without it the first that fits. With `defer`, deferrable jobs wait for cheap hours.
    """

    name: str
    order: Order
    overtake: bool
    choose: bool
    defer: bool


def by_arrival(waiting: Waiting, now_s: float) -> NDArray[np.int64]:
    """First come, first served."""
    return np.argsort(waiting.arrival, kind="stable")


def by_urgency(waiting: Waiting, now_s: float) -> NDArray[np.int64]:
    """Apparent tardiness cost (Vepsalainen and Morton 1987), with the area in place of the time.

    priority / area * exp(-slack / (k * mean duration)), where slack is what is left before the job must
    start to be on time; times a factor that grows with waiting, so that nothing waits for ever.
    """
    slack = np.maximum(waiting.due - waiting.duration - now_s, 0.0)
    urgency = np.exp(-slack / (LOOK_AHEAD * max(float(waiting.duration.mean()), 1.0)))
    waited = np.maximum(now_s - waiting.since, 0.0) / PATIENCE_S
    index = np.maximum(waiting.priority, 1e-9) / waiting.area * urgency * (1.0 + waited**2)
    return np.lexsort((waiting.arrival, -index))


_RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(name="fcfs", order=by_arrival, overtake=False, choose=False, defer=False),
        Rule(name="backfill", order=by_arrival, overtake=True, choose=False, defer=False),
        Rule(name="urgency", order=by_urgency, overtake=True, choose=True, defer=True),
    )
}


def known_rules() -> tuple[str, ...]:
    """Names that `make_rule` takes."""
    return tuple(_RULES)


def make_rule(name: str) -> Rule:
    """The rule of that name.

    Raises:
        UnknownRuleError: there is none; the text lists the known ones.
    """
    if name not in _RULES:
        raise UnknownRuleError(f"unknown rule {name!r}: known are {', '.join(known_rules())}")
    return _RULES[name]
