"""A target's account in the stream: hourly reports on `costs`, and alerts before its budget is broken."""

from datetime import UTC, datetime

import msgspec

from planners.cost import (
    Account,
    Meter,
    Prices,
    Risk,
    Standing,
    advance,
    fleets,
    marginal,
    month_end,
    opened,
    standing,
)
from planners.cost.account import next_month, watched_apart
from planners.cost.budget import State
from planners.scaling import ScalePolicy
from schemas import Alert, Cost, FleetCost
from streams.alerts import fingerprint
from streams.config import TargetConfig
from streams.output import Output, output

HOUR_MS = 3_600_000


class AccountState(msgspec.Struct, kw_only=True):
    """What is remembered: the account, how the budget stood, and when an alert on it began (Unix ms)."""

    account: Account | None = None
    budget: State = "kept"
    began: int = 0


def priced(config: TargetConfig) -> TargetConfig:
    """The target with its prices in its scaling: what a replica more costs, and no fewer than are reserved.

    Reserved replicas are paid for whether they run or not, so there is nothing to gain below their number.
    """
    scale, prices = config.scale, config.prices
    if scale is None or prices is None:
        return config
    least = min(max(scale.min, prices.reserved), scale.max)
    price = marginal(prices, Risk(scale.startup_s, scale.penalty))
    return msgspec.structs.replace(config, scale=msgspec.structs.replace(scale, price=price, min=least))


def account(
    config: TargetConfig,
    state: AccountState,
    *,
    ts: int,
    load: float,
    capacity: float,
    actual: int,
    decided: int,
) -> list[Output]:
    """Bring the account up to the sample at `ts` (Unix ms); a report each hour, an alert where it changes.

    `actual` replicas are wanted on the platform from now on, `decided` by the target's own planner.
    """
    assert config.scale is not None  # noqa: S101
    policy, prices = config.scale.policy(capacity), prices_of(config)
    before, apart = state.account, config.mode != "act"
    if before is None:
        state.account = opened(policy, ts, max(load, 0.0), actual, apart=apart)
        return []
    if apart != (before.decided is not None):
        before = watched_apart(before, apart)
    state.account = advance(before, policy, prices, ts=ts, load=load, actual=actual, decided=decided)
    if state.account is before or ts // HOUR_MS == before.ts // HOUR_MS:
        return []
    if before.month_ms != state.account.month_ms:  # the last word on the month that is over
        told = report(config, before, policy, prices)
    else:
        told = report(config, state.account, policy, prices)
    return [output("costs", config.name, told), *_budget(config, state)]


def prices_of(config: TargetConfig) -> Prices:
    """What the target's replicas cost: its prices, or its scaling's price for all of them.

    The target must be one that is scaled.
    """
    assert config.scale is not None  # noqa: S101
    return config.prices or Prices(on_demand=config.scale.price, spot_price=None)


def report(config: TargetConfig, known: Account, policy: ScalePolicy, prices: Prices) -> Cost:
    """The account as it travels."""
    end = month_end(known.actual.spend, known.rhythm, known.ts, next_month(known.month_ms))
    return Cost(
        target=config.name,
        month=f"{datetime.fromtimestamp(known.month_ms / 1_000, UTC):%Y-%m}",
        mode=config.mode,
        since=known.since_ms,
        ts=known.ts,
        fleets={name: _fleet(meter) for name, meter in fleets(known, policy, prices).items()},
        expected=end.expected,
        upper=end.upper,
        budget=config.budget_per_month,
    )


def _fleet(meter: Meter) -> FleetCost:
    return FleetCost(
        replica_hours=meter.replica_hours,
        spend=meter.spend,
        carbon_kg=meter.carbon_kg,
        carbon_cost=meter.carbon_cost,
        breach_minutes=meter.breach_s / 60.0,
        incidents=meter.incidents,
    )


def _budget(config: TargetConfig, state: AccountState) -> list[Output]:
    known, budget = state.account, config.budget_per_month
    if budget is None or known is None:
        return []
    end = month_end(known.actual.spend, known.rhythm, known.ts, next_month(known.month_ms))
    days = len(known.rhythm.days)
    now = standing(budget, known.actual.spend, end, before=state.budget, days_known=days)
    if now.state == state.budget:
        return []
    if state.budget == "kept":
        state.began = known.ts
    state.budget = now.state
    return [_alert(config, now, state.began, known.ts)]


def _alert(config: TargetConfig, now: Standing, began: int, ts: int) -> Output:
    labels = {"alertname": "budget", "target": config.name}
    series = f'tidegate_budget{{target="{config.name}"}}'
    kept = now.state == "kept"
    message = Alert(
        fingerprint=fingerprint(series),
        state="resolved" if kept else "firing",
        series=series,
        labels=labels,
        target=config.name,
        severity="critical" if now.state == "broken" else "warning",
        summary=f"{config.name}: {now.words}",
        anomaly=f"{fingerprint(series)}:{began}",
        anomalies=0,
        started_at=began,
        changed_at=ts,
        resolved_at=ts if kept else None,
    )
    return output("alerts", message.fingerprint, message)
