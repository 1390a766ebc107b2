"""The reactive rule run beside the planner on the same load: what it would have paid and broken.

What a breach is worth is seldom known as a number. But whoever runs the reactive rule pays its head-room
for its breaches: its bill over its breach time is a price of a breach, in the service's own units.
"""

import math
from collections import deque

from planners.scaling.values import ScalePolicy, Shadow

STEP_S = 15.0  # the HPA's period
MOST_STEPS = 40  # per sample: a longer interval is cut into this many steps
STABILISATION_S = 300.0
TOLERANCE = 0.1
MEMORY_S = 14 * 86_400.0
PRIOR_BREACH_S = 300.0  # breach time assumed before any was seen
WORTH = 0.09  # a breach-hour is worth this share of the reactive rule's bill per hour of its breaches


def first_shadow(policy: ScalePolicy, ts: int, load: float) -> Shadow:
    """The fleet that the rule would run at a first load, all of it serving."""
    count = _bounded(policy, math.ceil(min(load / (policy.hpa_target * policy.capacity), 1e9) - 1e-9))
    return Shadow(
        ts=ts, clock_s=0.0, load=load, wanted=count, running=count, starting=(), advice=((0.0, count),),
        paid=0.0, breached=0.0,
    )  # fmt: skip


def advance(policy: ScalePolicy, shadow: Shadow, ts: int, load: float) -> Shadow:
    """The fleet at `ts`, with `load` since the last time; a load that is not a number leaves it as it is.

    Follows autoscaling/v2 as the Kubernetes documentation describes it: each 15 s desired =
    ceil(running * utilisation / target), tolerance 0.1, up by doubling or 4, down to the highest
    recommendation of 300 s; a replica serves `policy.startup_s` after it was asked for.
    """
    elapsed = (ts - shadow.ts) / 1000.0
    if not math.isfinite(load) or elapsed <= 0.0:
        return shadow
    load = max(load, 0.0)
    steps = max(1, min(MOST_STEPS, round(elapsed / STEP_S)))
    # Gaps of hours are not paid for: nothing is known about the load in them.
    width = min(elapsed / steps, STEP_S * 10.0)
    fade = math.exp(-elapsed / MEMORY_S)
    paid, breached = shadow.paid * fade, shadow.breached * fade
    wanted, running, now = shadow.wanted, shadow.running, shadow.clock_s
    starting, advice = deque(shadow.starting), deque(shadow.advice)
    seen = (load + shadow.load) / 2.0
    aim = policy.hpa_target * policy.capacity
    for _ in range(steps):
        now += width
        while starting and starting[0][0] <= now:
            running += starting.popleft()[1]
        paid += wanted * width
        if load > running * policy.capacity:
            breached += width
        ratio = seen / (max(running, 1) * aim)
        seen = load
        advised = wanted if abs(ratio - 1.0) <= TOLERANCE else math.ceil(min(running * ratio, 1e9) - 1e-9)
        advised = _bounded(policy, min(advised, max(2 * wanted, wanted + 4)))
        while advice and advice[-1][1] <= advised:
            advice.pop()
        advice.append((now, advised))
        while advice[0][0] <= now - STABILISATION_S:
            advice.popleft()
        goal = advised if advised > wanted else min(wanted, advice[0][1])
        if goal > wanted:
            starting.append((now + policy.startup_s, goal - wanted))
        drop = max(wanted - goal, 0)
        while drop and starting:
            ready_at, count = starting.pop()
            if count > drop:
                starting.append((ready_at, count - drop))
            drop = max(drop - count, 0)
        running -= drop
        wanted = goal
    return Shadow(
        ts=ts, clock_s=now, load=load, wanted=wanted, running=running, starting=tuple(starting),
        advice=tuple(advice), paid=paid, breached=breached,
    )  # fmt: skip


def breach_worth(policy: ScalePolicy, shadow: Shadow) -> float:
    """What an hour in breach is worth, in the price's unit, by what the reactive rule pays for its own."""
    return WORTH * policy.price * shadow.paid / (shadow.breached + PRIOR_BREACH_S)


def _bounded(policy: ScalePolicy, count: int) -> int:
    return max(policy.min_replicas, 1, min(policy.max_replicas, count))
