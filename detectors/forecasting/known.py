"""Events that people know of ahead, as factors on the load."""

from collections.abc import Sequence
from typing import NamedTuple


class Known(NamedTuple):
    """From `starts_at` to `ends_at` (Unix ms, exclusive) the load is `factor` times the usual."""

    id: str
    starts_at: int
    ends_at: int
    factor: float


def factor_at(events: Sequence[Known], ts: float) -> float:
    """The factor at a time: the product of the events that cover it.

    >>> factor_at([Known("sale", 10, 20, 3.0), Known("holiday", 0, 99, 0.5)], 10)
    1.5
    """
    product = 1.0
    for event in events:
        if event.starts_at <= ts < event.ends_at:
            product *= event.factor
    return product


def highest_factor(events: Sequence[Known], first: float, last: float) -> float:
    """The highest factor from `first` to `last`, both included."""
    edges = [edge for event in events for edge in (event.starts_at, event.ends_at) if first < edge <= last]
    return max(factor_at(events, ts) for ts in (first, *edges))


def with_event(events: Sequence[Known], event: Known, now: float, memory_ms: float) -> tuple[Known, ...]:
    """The events with `event` in place of an older one of that id, without those long over."""
    kept = [old for old in events if old.id != event.id and old.ends_at > now - memory_ms]
    return tuple(sorted((*kept, event), key=lambda each: (each.starts_at, each.id)))
