"""Several load signals of one target: the largest need wins."""

from collections.abc import Mapping

import msgspec

from planners.scaling.values import Decision


def largest(decisions: Mapping[str, Decision]) -> Decision:
    """The decision that asks for most, by signal name; equal ones by name, so a replay agrees.

    A signal that fell back to the reactive rule counts like any other: too much is safer than too
    little.

    Raises:
        ValueError: there is no decision.
    """
    if not decisions:
        raise ValueError("no decisions to choose from: a target needs at least one load signal")
    name = min(decisions, key=lambda signal: (-decisions[signal].replicas, signal))
    chosen = decisions[name]
    others = ", ".join(f"{signal} {decisions[signal].replicas}" for signal in sorted(decisions))
    reason = f"largest need is that of {name} ({others})"
    return msgspec.structs.replace(chosen, reasons=(reason, *chosen.reasons))
