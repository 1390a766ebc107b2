"""A target's month: what it costs, and what other ways of scaling would have cost on the same load."""

import math
from datetime import UTC, datetime

import msgspec

from planners.cost.meter import Fleet, Meter
from planners.cost.month import Rhythm
from planners.cost.prices import Prices, Risk, hourly
from planners.scaling import ScalePolicy
from planners.scaling.shadow import MEMORY_S, first_shadow
from planners.scaling.shadow import advance as advance_reactive
from planners.scaling.values import Shadow

ACTUAL, DECIDED, REACTIVE, STATIC = "actual", "decided", "hpa", "static"
LONGEST_GAP_S = 600.0  # what happened in a longer one is not known, and is counted for nobody


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of the calendar month (UTC) that began at `month_ms`, from `since_ms` on (Unix ms).

    `actual` is the platform's fleet. `decided` is the planner's own, kept apart only where its decisions
    are not carried out. `reactive` follows the rule of the HPA on the same load. `peak` is the highest load:
    what a fleet that never changes has to serve. `ts` and `load` are those of the last sample.
    """

    month_ms: int
    since_ms: int
    ts: int
    load: float
    seconds: float
    peak: float
    actual: Meter
    reactive: Meter
    fleet: Fleet
    shadow: Shadow
    rhythm: Rhythm
    decided: Meter | None = None
    own: Fleet | None = None


def month_of(ts: int) -> int:
    """When the calendar month of `ts` began, Unix ms, UTC."""
    at = datetime.fromtimestamp(ts / 1_000, UTC)
    return round(datetime(at.year, at.month, 1, tzinfo=UTC).timestamp() * 1_000)


def next_month(month_ms: int) -> int:
    """When the month after that one begins, Unix ms."""
    return month_of(month_ms + 32 * 86_400_000)


def opened(policy: ScalePolicy, ts: int, load: float, replicas: int, *, apart: bool) -> Account:
    """The account at a first sample, with `replicas` serving; `apart` where decisions are not carried out."""
    fleet = Fleet(wanted=replicas, running=replicas)
    return Account(
        month_ms=month_of(ts),
        since_ms=ts,
        ts=ts,
        load=load,
        seconds=0.0,
        peak=load,
        actual=Meter(),
        reactive=Meter(),
        fleet=fleet,
        shadow=first_shadow(policy, ts, load),
        rhythm=Rhythm(),
        decided=Meter() if apart else None,
        own=fleet if apart else None,
    )


def watched_apart(account: Account, apart: bool) -> Account:
    """The account from when decisions are no longer carried out, or again are.

    What ran until then counts as decided too, so that both differ by what comes after.
    """
    if not apart:
        return msgspec.structs.replace(account, decided=None, own=None)
    return msgspec.structs.replace(account, decided=account.actual, own=account.fleet)


def advance(
    account: Account,
    policy: ScalePolicy,
    prices: Prices,
    *,
    ts: int,
    load: float,
    actual: int,
    decided: int,
) -> Account:
    """The account at `ts` (Unix ms), with `load` since the last sample.

    `actual` replicas are wanted on the platform from `ts` on, `decided` by the planner. A sample that is
    not later, or not a number, changes nothing.
    """
    if ts <= account.ts or not math.isfinite(load):
        return account
    load = max(load, 0.0)
    if month_of(ts) != account.month_ms:
        account = msgspec.structs.replace(
            account, month_ms=month_of(ts), since_ms=ts, seconds=0.0, peak=load, actual=Meter(),
            reactive=Meter(), decided=Meter() if account.decided is not None else None,
        )  # fmt: skip
    shadow = advance_reactive(policy, account.shadow, ts, load)
    elapsed_s = (ts - account.ts) / 1_000.0
    if elapsed_s <= LONGEST_GAP_S:
        account = _counted(account, shadow, policy, prices, ts, load, elapsed_s)
    fleet = account.fleet.resized(ts, actual, policy.startup_s)
    own = account.own.resized(ts, decided, policy.startup_s) if account.own is not None else None
    return msgspec.structs.replace(account, ts=ts, load=load, shadow=shadow, fleet=fleet, own=own)


def _counted(
    account: Account,
    shadow: Shadow,
    policy: ScalePolicy,
    prices: Prices,
    ts: int,
    load: float,
    elapsed_s: float,
) -> Account:
    risk = Risk(policy.startup_s, policy.penalty)
    need = load / policy.capacity
    fleet, short_s = account.fleet.until(account.ts, ts, need)
    actual = account.actual.plus(
        prices, risk, ts=ts, elapsed_s=elapsed_s, replicas=fleet.wanted, breach_s=short_s
    )
    fade = math.exp(-elapsed_s / MEMORY_S)  # the shadow forgets; what is new in it is what this time cost
    reactive = account.reactive.plus(
        prices,
        risk,
        ts=ts,
        elapsed_s=elapsed_s,
        replicas=max(shadow.paid - account.shadow.paid * fade, 0.0) / elapsed_s,
        breach_s=max(shadow.breached - account.shadow.breached * fade, 0.0),
    )
    decided, own = account.decided, account.own
    if decided is not None and own is not None:
        own, own_short_s = own.until(account.ts, ts, need)
        decided = decided.plus(
            prices, risk, ts=ts, elapsed_s=elapsed_s, replicas=own.wanted, breach_s=own_short_s
        )
    return msgspec.structs.replace(
        account,
        seconds=account.seconds + elapsed_s,
        peak=max(account.peak, load),
        actual=actual,
        reactive=reactive,
        fleet=fleet,
        decided=decided,
        own=own,
        rhythm=account.rhythm.plus(ts, elapsed_s, actual.spend - account.actual.spend),
    )


def fleets(account: Account, policy: ScalePolicy, prices: Prices) -> dict[str, Meter]:
    """The meters by name: `actual`, `decided` where it is apart, `hpa`, and `static`.

    `static` is a fleet that never changes and serves the month's highest load so far.
    """
    count = max(policy.min_replicas, math.ceil(account.peak / policy.capacity - 1e-9))
    hours = account.seconds / 3_600.0
    risk = Risk(policy.startup_s, policy.penalty)
    by_hour = [hourly(prices, risk, count, hour) for hour in range(24)]
    rate = [sum(column) / len(column) for column in zip(*by_hour, strict=True)]
    static = Meter(
        replica_hours=count * hours,
        spend=rate[0] * hours,
        carbon_kg=rate[1] * hours,
        carbon_cost=rate[2] * hours,
    )
    own = {} if account.decided is None else {DECIDED: account.decided}
    return {ACTUAL: account.actual, **own, REACTIVE: account.reactive, STATIC: static}
