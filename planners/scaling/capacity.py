"""What one replica can serve, learnt from its load beside a signal of saturation."""

import math
from typing import Literal

import msgspec

Saturation = Literal["utilisation", "latency"]

MEMORY = 2000.0  # samples
LEAST_SAMPLES = 30.0
LEAST_SPREAD = 0.05  # of the loads seen, relative: a line needs two points
MOST_REACH = 2.0  # times the highest load seen of one replica: beyond is guessing


class CapacityState(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Fading sums of a regression of the signal on the load per replica, and the highest load seen."""

    weight: float = 0.0
    load: float = 0.0
    signal: float = 0.0
    squares: float = 0.0
    products: float = 0.0
    highest: float = 0.0


def learn_capacity(
    state: CapacityState, per_replica: float, saturation: float, kind: Saturation
) -> CapacityState:
    """Take the load that each replica had, and the signal at that time; what is not a positive number is not.

    A utilisation (CPU, threads, connections in use) rises in a line with the load. A latency rises as in
    a queue with one server, service time over (1 - load / capacity): its inverse falls in a line.
    """
    usable = all(math.isfinite(value) and value > 0.0 for value in (per_replica, saturation))
    if not usable:
        return state
    signal = saturation if kind == "utilisation" else 1.0 / saturation
    keep = 1.0 - 1.0 / MEMORY
    return CapacityState(
        weight=state.weight * keep + 1.0,
        load=state.load * keep + per_replica,
        signal=state.signal * keep + signal,
        squares=state.squares * keep + per_replica * per_replica,
        products=state.products * keep + per_replica * signal,
        highest=max(state.highest * keep, per_replica),
    )


def learnt_capacity(state: CapacityState, limit: float, kind: Saturation) -> float | None:
    """The load at which a replica's signal reaches `limit`; None while that cannot be told.

    The line through what was seen is followed, to twice the highest load at most. Where the load
    has hardly varied, a utilisation is taken to be in proportion to it, and a latency tells nothing.
    """
    if state.weight < LEAST_SAMPLES:
        return None
    load, signal = state.load / state.weight, state.signal / state.weight
    variance = state.squares / state.weight - load * load
    aim = limit if kind == "utilisation" else 1.0 / limit
    if variance < (LEAST_SPREAD * load) ** 2:
        found = load * limit / signal if kind == "utilisation" else math.nan
    else:
        slope = (state.products / state.weight - load * signal) / variance
        rises = slope > 0.0 if kind == "utilisation" else slope < 0.0
        found = load + (aim - signal) / slope if rises else math.nan
    if not math.isfinite(found) or found <= 0.0:
        return None
    return min(found, MOST_REACH * state.highest)
