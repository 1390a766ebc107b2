"""Alertmanager's v2 API: what fires is told again and again, what it is not told of it resolves by itself."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from schemas import Alert
from streams.alerting import AlertPartition
from streams.config import ReceiverConfig
from streams.incidents import GroupState, Member

FIRING, RESOLVED = "firing", "resolved"
NAMES = {"anomaly": "TidegateAnomaly", "no-data": "TidegateNoData"}
AT_ONCE = 500  # alerts of one request

Due = tuple[GroupState, Member, str, dict[str, Any]]


class Alertmanager:
    """Tells one Alertmanager of all alerts that are routed to it.

    A silence of ours resolves an alert there. The time of the next telling is kept in memory: after a restart
    all that fires is told at once.
    """

    def __init__(self, name: str, config: ReceiverConfig, url: str, http: httpx.AsyncClient) -> None:
        self.name = name
        self._url = url.rstrip("/") + "/api/v2/alerts"
        self._timeout = config.timeout_s
        self._resend_ms = int(config.resend_s * 1000)
        self._expire_ms = int(config.expire_s * 1000)
        self._http = http
        self._sent: dict[str, int] = {}  # when each alert was told last, Unix ms

    def due(self, partition: AlertPartition, now_ms: int) -> list[Due]:
        """What is to be told now."""
        found = list(self._due(partition, now_ms))
        known = {
            member.alert.fingerprint for _, case in partition.cases() for member in case.members.values()
        }
        if len(self._sent) > 2 * len(known) + 1000:
            self._sent = {identity: at for identity, at in self._sent.items() if identity in known}
        return found

    def _due(self, partition: AlertPartition, now_ms: int) -> Iterator[Due]:
        for group, case in partition.cases():
            for member in case.members.values():
                alert, told = member.alert, member.told.get(self.name)
                fires = alert.state == "firing" and alert.suppressed is None
                if fires and self.name in partition.routes.of(alert):
                    if told != FIRING or now_ms - self._sent.get(alert.fingerprint, 0) >= self._resend_ms:
                        yield group, member, FIRING, posted(alert, now_ms, now_ms + self._expire_ms)
                elif told == FIRING:
                    yield group, member, RESOLVED, posted(alert, now_ms, now_ms)

    async def tell(self, partition: AlertPartition, due: Sequence[Due], now_ms: int) -> None:
        """Tell it, and note that.

        Raises:
            httpx.HTTPError: it was not told; it is due again.
        """
        for first in range(0, len(due), AT_ONCE):
            part = due[first : first + AT_ONCE]
            answer = await self._http.post(self._url, json=[each[3] for each in part], timeout=self._timeout)
            answer.raise_for_status()
            for group, member, state, _ in part:
                self._sent[member.alert.fingerprint] = now_ms
                if member.told.get(self.name) != state:
                    member.told[self.name] = state
                    partition.mark(group)


def posted(alert: Alert, now_ms: int, ends_ms: int) -> dict[str, Any]:
    """An alert as Alertmanager's API takes it; the labels stay the same while it fires."""
    labels = {_name(name): value for name, value in alert.labels.items() if value} | {
        "alertname": NAMES[alert.kind],
        "metric": alert.series.partition("{")[0],
        "severity": alert.severity,
        "tidegate": alert.fingerprint,
    }
    if alert.target is not None:
        labels["target"] = alert.target
    if alert.incident is not None:
        labels["incident"] = alert.incident
    annotations = alert.annotations | {"summary": alert.summary, "series": alert.series}
    if alert.runbook is not None:
        annotations["runbook_url"] = alert.runbook
    # Event time may run ahead of the clock; Alertmanager refuses an alert that ends before it starts.
    return {
        "labels": labels,
        "annotations": {_name(name): text for name, text in annotations.items()},
        "startsAt": _rfc3339(min(alert.started_at, now_ms, ends_ms)),
        "endsAt": _rfc3339(ends_ms),
    }


def _name(text: str) -> str:
    """A label's name as every version of Alertmanager takes it."""
    clean = re.sub(r"[^a-zA-Z0-9_]", "_", text)
    return clean if not clean[:1].isdigit() else f"_{clean}"


def _rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
