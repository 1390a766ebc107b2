"""Alerts that belong together, as one thing to be told of."""

from typing import Literal

import msgspec

from schemas.alert import Severity
from schemas.message import Message


class Cause(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A series of an incident, and why it may be the cause, in words.

    `node` is where the topology has it, None where it has it not. `strength` is that of the alert's first
    anomaly (1: the alarm's threshold), `started_at` Unix ms of event time.
    """

    series: str
    fingerprint: str
    node: str | None
    state: Literal["firing", "resolved"]
    started_at: int
    strength: float
    reasons: list[str]


class Incident(Message, frozen=True, kw_only=True, tag="incident/1"):
    """One state change of an incident: alerts of one target or label group within a window.

    All messages of one incident share `fingerprint`, the key on the topic. `group` names the labels that its
    alerts share. `causes` are the likeliest first, at most 20; `series` counts all that ever belonged to it,
    `firing` those that fire now. Times are event times in Unix ms. `suppressed` names what holds all of its
    alerts back, None where one of them is not.
    """

    fingerprint: str
    state: Literal["firing", "resolved"]
    group: dict[str, str]
    severity: Severity
    summary: str
    causes: list[Cause]
    series: int
    firing: int
    started_at: int
    changed_at: int
    resolved_at: int | None = None
    suppressed: str | None = None
    runbook: str | None = None
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
