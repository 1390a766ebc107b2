"""The lifecycle of an alarm, as operations teams subscribe to it."""

from typing import Literal

import msgspec

from schemas.message import Message

Kind = Literal["anomaly", "no-data"]
State = Literal["pending", "firing", "resolved"]
Severity = Literal["info", "warning", "critical"]


class Alert(Message, frozen=True, kw_only=True, tag="alert/1"):
    """One state change of an alert.

    `fingerprint` is a hash of the series and the kind: all messages of one alert share it, and the topic is
    compacted by it. Times are event times in Unix ms. `suppressed` names what holds a
    notification back ("silence", "maintenance", "flapping"), None where nothing does. `kind` says what is
    wrong: the values, or that there are none. `strength` is that of the first anomaly (1: the alarm's
    threshold). `incident` is the fingerprint of the incident that the alert belongs to.
    """

    fingerprint: str
    state: State
    series: str
    labels: dict[str, str]
    target: str | None
    severity: Severity
    summary: str
    anomaly: str
    anomalies: int
    started_at: int
    changed_at: int
    resolved_at: int | None = None
    suppressed: str | None = None
    runbook: str | None = None
    kind: Kind = "anomaly"
    strength: float = 1.0
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    incident: str | None = None
