"""The lifecycle of an alarm, as operations teams subscribe to it."""

from typing import Literal

from schemas.message import Message

State = Literal["pending", "firing", "resolved"]
Severity = Literal["info", "warning", "critical"]


class Alert(Message, frozen=True, kw_only=True, tag="alert/1"):
    """One state change of an alert.

    `fingerprint` is a hash of the labels: all messages of one alert share it, and the topic is
    compacted by it. Times are event times in Unix ms. `suppressed` names what holds a
    notification back ("silence", "maintenance", "flapping"), None where nothing does.
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
