"""`tidegate cost`: what targets cost, from the topic `costs` or from a recorded load and its decisions."""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from planners.cost import Account, advance, opened
from schemas import Cost, FleetCost, SchemaError, decode
from streams.accounting import priced, prices_of, report
from streams.config import Config, ConfigError, TargetConfig
from streams.scale_config import ScaleConfig
from streams.scaling import TargetScaler
from streams.tail import tail
from streams.traces import TraceError, read_trace


async def from_topic(topic: str, connection: Mapping[str, Any]) -> list[Cost]:
    """The newest report of each target and month that the topic holds, by target and month.

    Raises:
        TailError: there is no such topic.
        KafkaError: the brokers cannot be reached.
    """
    newest: dict[tuple[str, str], Cost] = {}
    async for record in tail(topic, connection=connection, last=None, follow=False):
        try:
            told = decode(record.value or b"", Cost)
        except SchemaError:
            continue  # a stranger's record; what we write ourselves is never like that
        known = newest.get((told.target, told.month))
        if known is None or told.ts >= known.ts:
            newest[told.target, told.month] = told
    return [newest[key] for key in sorted(newest)]


def from_files(
    config: Config,
    trace: Path,
    decisions: Path | None,
    target: str | None,
    *,
    capacity: float | None = None,
    startup_s: float | None = None,
) -> list[Cost]:
    """A report per month of a recorded load, served as `decisions` (ts,replicas) say.

    Without decisions they are those of the target's own planner. `target` names one of the configuration,
    whose prices and scaling count; without it, all defaults.

    Raises:
        ConfigError: there is no such target, or it is not scaled.
        TraceError: a file cannot be used.
    """
    chosen = _target(config, target)
    scale = priced(chosen).scale
    assert scale is not None  # noqa: S101
    recorded = read_trace(trace)
    known = [value for value in recorded.values.tolist() if math.isfinite(value)]
    if not known or max(known) <= 0.0:
        raise TraceError(f"{trace}: no load above zero, expected rows of time and value")
    scale = msgspec.structs.replace(
        scale,
        capacity=capacity or scale.capacity or max(known) / scale.peak_replicas,
        startup_s=scale.startup_s if startup_s is None else startup_s,
    )
    chosen = msgspec.structs.replace(chosen, scale=scale)
    given = _counts(decisions) if decisions is not None else None
    rows = zip(recorded.times.tolist(), recorded.values.tolist(), strict=True)
    return _replayed(chosen, scale, rows, given)


def _target(config: Config, name: str | None) -> TargetConfig:
    if name is None:
        return TargetConfig(name="trace", load="load", scale=ScaleConfig())
    for each in config.targets:
        if each.name == name and each.scale is not None:
            return msgspec.structs.replace(each, mode="act")
    known = ", ".join(each.name for each in config.targets if each.scale is not None) or "none"
    raise ConfigError(f"there is no target {name!r} that is scaled; known: {known}")


def _counts(decisions: Path) -> list[tuple[int, int]]:
    changes = read_trace(decisions)
    rows = zip(changes.times.tolist(), changes.values.tolist(), strict=True)
    counts = [(int(ts), int(count)) for ts, count in rows if math.isfinite(count)]
    if not counts:
        raise TraceError(f"{decisions}: no row, expected the columns ts,replicas")
    return counts


def _replayed(
    target: TargetConfig,
    scale: ScaleConfig,
    rows: Any,
    given: list[tuple[int, int]] | None,
) -> list[Cost]:
    policy, prices = scale.policy(scale.capacity or 1.0), prices_of(target)
    scaler = TargetScaler(scale) if given is None else None
    account: Account | None = None
    months: dict[int, Account] = {}
    replicas: int | None = given[0][1] if given else None
    position = 0
    for ts, load in rows:
        if scaler is not None:
            _, decision = scaler.observe(ts, load, replicas)
            replicas = decision.replicas if decision is not None else replicas
        elif given is not None:
            while position < len(given) and given[position][0] <= ts:
                replicas, position = given[position][1], position + 1
        if replicas is None or not math.isfinite(load):
            continue
        if account is None:
            account = opened(policy, ts, max(load, 0.0), replicas, apart=False)
        else:
            account = advance(account, policy, prices, ts=ts, load=load, actual=replicas, decided=replicas)
        months[account.month_ms] = account
    return [report(target, months[month], policy, prices) for month in sorted(months)]


def in_words(reports: Sequence[Cost]) -> str:
    """A table of targets and months, what was saved, and how shadows would have done."""
    if not reports:
        return "nothing is known yet: the first report comes with the first full hour of a target's load"
    lines = [
        f"{'target':<20}{'month':<9}{'spend':>12}{'month end':>12}{'below 9:10':>12}{'budget':>12}"
        f"{'vs HPA':>9}{'vs static':>10}{'breach min':>12}{'HPA':>8}{'CO2 kg':>9}"
    ]
    for each in reports:
        actual, hpa, static = (each.fleets[name] for name in ("actual", "hpa", "static"))
        budget = "-" if each.budget is None else f"{each.budget:.2f}"
        lines.append(
            f"{each.target[:19]:<20}{each.month:<9}{actual.spend:>12.2f}{each.expected:>12.2f}{each.upper:>12.2f}"
            f"{budget:>12}{_against(actual, hpa):>9}{_against(actual, static):>10}"
            f"{actual.breach_minutes:>12.1f}{hpa.breach_minutes:>8.1f}{actual.carbon_kg:>9.1f}"
        )
    if len(reports) > 1:
        spent, reactive, unchanged = (
            sum(each.fleets[name].spend for each in reports) for name in ("actual", "hpa", "static")
        )
        lines.append(
            f"in all {spent:.2f}: {reactive - spent:.2f} less than the HPA's rule would have spent, "
            f"{unchanged - spent:.2f} less than a static fleet"
        )
    lines += [_shadow(each) for each in reports if "decided" in each.fleets]
    newest = max(each.ts for each in reports)
    oldest = min(each.since for each in reports)
    lines.append(f"from {_clock(oldest)} to {_clock(newest)} UTC; static is for the month's highest load")
    return "\n".join(lines)


def _against(ours: FleetCost, other: FleetCost) -> str:
    return "-" if other.spend <= 0.0 else f"{ours.spend / other.spend - 1.0:+.1%}"


def _shadow(each: Cost) -> str:
    actual, decided = each.fleets["actual"], each.fleets["decided"]
    return (
        f"{each.target} in {each.mode} mode: its own decisions would have cost {decided.spend:.2f} "
        f"({_against(decided, actual)}) with {decided.breach_minutes:.1f} breach minutes in "
        f"{decided.incidents} incidents; what ran had {actual.breach_minutes:.1f} in {actual.incidents}"
    )


def _clock(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1_000, UTC):%Y-%m-%d %H:%M}"
