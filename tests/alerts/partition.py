"""A partition of groups without Kafka: changes of alerts as records, and what is told."""

from typing import Any

import msgspec

from schemas import Alert, Incident, Silence, decode
from schemas.control import Control
from streams.alerting import AlertPartition
from streams.alerts import fingerprint
from streams.config import AlertConfig, IncidentConfig
from streams.output import Output
from tests.streams.records import START, FakeRecord, message

MINUTE = 60_000


def change(state: str, minute: float, name: str = "a", *, since: float | None = None, **fields: Any) -> Alert:
    """The alert of the series `m{name=...}` changes to `state`, so many minutes after the start."""
    labels = {"name": name} | fields.pop("labels", {})
    series = f'm{{name="{name}"}}'
    kind = fields.get("kind", "anomaly")
    at = START + int(minute * MINUTE)
    return Alert(
        **{
            "fingerprint": fingerprint(series, kind),
            "state": state,
            "series": series,
            "labels": labels,
            "target": None,
            "severity": "warning",
            "summary": f"{series} is wrong",
            "anomaly": "",
            "anomalies": 1,
            "started_at": at if since is None else START + int(since * MINUTE),
            "changed_at": at,
        }
        | fields
    )


def silence(offset: int, begin: float, end: float, *matchers: str, identity: str = "s1") -> Control:
    """A silence that was passed on, in minutes after the start."""
    event = Silence(
        id=identity,
        matchers=list(matchers),
        starts_at=START + int(begin * MINUTE),
        ends_at=START + int(end * MINUTE),
    )
    return Control(partition=0, offset=offset, event=event)


def partition(**incidents: Any) -> AlertPartition:
    """One with all defaults, but for what is said of incidents."""
    return AlertPartition(0, AlertConfig(incidents=IncidentConfig(**incidents)))


def process(part: AlertPartition, *told: msgspec.Struct, now: float = 0) -> list[Output]:
    """Process messages as one batch, so many minutes after the start."""
    records: list[FakeRecord] = [message("changes", 0, each) for each in told]
    return part.process(records, START + int(now * MINUTE))


def alerts(outputs: list[Output]) -> list[Alert]:
    """The alerts among what is told."""
    return [each for each in _decoded(outputs) if isinstance(each, Alert)]


def incidents(outputs: list[Output]) -> list[Incident]:
    """The incidents among what is told."""
    return [each for each in _decoded(outputs) if isinstance(each, Incident)]


def _decoded(outputs: list[Output]) -> list[Alert | Incident]:
    found = (each for each in outputs if each.topic == "alerts")
    return [decode(each.value, Alert | Incident) for each in found]  # type: ignore[arg-type]
