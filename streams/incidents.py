"""Incidents: alerts of one group within a window are one thing, its series ranked by likely cause."""

import hashlib
from collections.abc import Callable, Iterable

import msgspec

from schemas import Alert, Cause, Incident
from schemas.alert import Severity
from streams.rules import Grouping

SHOWN = 20
TOGETHER_MS = 60_000  # alerts that begin so close to each other begin together
SEVERITIES: tuple[Severity, ...] = ("info", "warning", "critical")


class Member(msgspec.Struct, kw_only=True):
    """An alert of an incident: its newest change, when it first began, and what receivers were told."""

    alert: Alert
    since: int
    told: dict[str, str] = {}


class Case(msgspec.Struct, kw_only=True):
    """An incident as it is remembered. Times are event times in Unix ms, `seen_at` that of the clock.

    `round` grows when it fires again after all of it was resolved.
    """

    number: int
    labels: dict[str, str]
    seen_at: int
    members: dict[str, Member] = {}
    started_at: int
    changed_at: int
    resolved_at: int | None = None
    round: int = 0
    told: dict[str, str] = {}


class GroupState(msgspec.Struct, kw_only=True):
    """The incidents of one group that are open, or may open again; `waiting` are pending alerts."""

    key: str
    number: int = 0
    cases: list[Case] = []
    waiting: dict[str, Alert] = {}
    last: dict[str, tuple[int, int]] = {}  # fingerprint: time and rank of the newest change taken


def identity(key: str, case: Case) -> str:
    """The fingerprint of an incident: 16 hexadecimal digits, from its group and its number in it."""
    return hashlib.blake2b(f"{key}#{case.number}".encode(), digest_size=8).hexdigest()


def join(group: GroupState, alert: Alert, labels: dict[str, str], window_ms: int, now_ms: int) -> Case:
    """Put a firing or resolved alert into the case that it belongs to, a new one where there is none."""
    case = next((c for c in group.cases if alert.fingerprint in c.members and c.resolved_at is None), None)
    if case is None:
        near = [c for c in group.cases if alert.started_at <= c.changed_at + window_ms]
        case = near[-1] if near else None
    if case is None:
        group.number += 1
        case = Case(
            number=group.number, labels=labels, seen_at=now_ms,
            started_at=alert.started_at, changed_at=alert.changed_at,
        )  # fmt: skip
        group.cases.append(case)
    member = case.members.get(alert.fingerprint)
    if member is None:
        case.members[alert.fingerprint] = Member(alert=alert, since=alert.started_at)
    else:
        member.alert = alert
    case.started_at = min(case.started_at, alert.started_at)
    case.changed_at = max(case.changed_at, alert.changed_at)
    firing = any(each.alert.state == "firing" for each in case.members.values())
    if firing and case.resolved_at is not None:
        case.round, case.seen_at, case.resolved_at = case.round + 1, now_ms, None
    elif not firing:
        case.resolved_at = case.changed_at
    return case


def ranked(case: Case, grouping: Grouping) -> list[Cause]:
    """The members as causes, the likeliest first.

    First what nothing else in the incident lies upstream of, then what began first, then what was strongest.
    """
    members = list(case.members.values())
    nodes = {m.alert.fingerprint: grouping.node(m.alert.labels, m.alert.target) for m in members}
    here = {node for node in nodes.values() if node is not None}
    upstream = {node: grouping.upstream(node) & here for node in here}
    feeds = {node: sorted(each for each in here if node in upstream[each]) for node in here}

    def order(member: Member) -> tuple[bool, int, float, int, str]:
        node = nodes[member.alert.fingerprint]
        late = (member.since - case.started_at) // TOGETHER_MS
        downstream = node is not None and bool(upstream[node])
        return downstream, late, -member.alert.strength, member.since, member.alert.series

    members.sort(key=order)
    strongest = max(member.alert.strength for member in members)
    return [
        Cause(
            series=m.alert.series,
            fingerprint=m.alert.fingerprint,
            node=(node := nodes[m.alert.fingerprint]),
            state="firing" if m.alert.state == "firing" else "resolved",
            started_at=m.since,
            strength=m.alert.strength,
            reasons=list(_reasons(m, case, strongest, feeds.get(node or "", []))),
        )
        for m in members
    ]


def _reasons(member: Member, case: Case, strongest: float, feeds: list[str]) -> Iterable[str]:
    if feeds:
        yield f"upstream of {', '.join(feeds)}"
    late = (member.since - case.started_at) / 1000
    yield "began first" if late <= 0 else f"began {late:g} s after the first"
    if member.alert.kind == "no-data":
        yield "no data"
    else:
        peak = "strongest: " if member.alert.strength == strongest else ""
        yield f"{peak}{member.alert.strength:.3g} times its threshold"


def message(key: str, case: Case, grouping: Grouping, told: Callable[[Alert], str | None]) -> Incident:
    """The incident as it stands; `told` says what holds an alert back."""
    causes = ranked(case, grouping)
    alerts = [member.alert for member in case.members.values()]
    firing = [alert for alert in alerts if alert.state == "firing"]
    held = {told(alert) for alert in firing or alerts}
    first = next(alert for alert in alerts if alert.fingerprint == causes[0].fingerprint)
    what = ", ".join(f"{name} {value}" for name, value in case.labels.items())
    count = f"{len(alerts)} series" if len(alerts) > 1 else "1 series"
    return Incident(
        fingerprint=identity(key, case),
        state="resolved" if case.resolved_at is not None else "firing",
        group=case.labels,
        severity=max((alert.severity for alert in alerts), key=SEVERITIES.index),
        summary=f"{what}: {count}; likeliest cause: {first.summary}",
        causes=causes[:SHOWN],
        series=len(alerts),
        firing=len(firing),
        started_at=case.started_at,
        changed_at=case.changed_at,
        resolved_at=case.resolved_at,
        suppressed=None if None in held else min(each for each in held if each is not None),
        runbook=first.runbook,
        annotations=first.annotations,
    )
