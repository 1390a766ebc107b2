"""A webhook: one POST when an incident has gathered its alerts, one when it is over."""

from collections.abc import Iterator, Sequence

import httpx

from schemas import encode
from streams.alerting import AlertPartition
from streams.config import ReceiverConfig
from streams.incidents import Case, GroupState, identity

Due = tuple[GroupState, Case, str]
AGAIN = frozenset({408, 425, 429})  # client errors that pass


class Webhook:
    """Tells one webhook of the incidents that hold an alert that is routed to it.

    A suppressed incident is told when its suppression ends, and an end is told where the beginning was. The
    header `Idempotency-Key` is the same for each attempt, and after a restart.
    """

    def __init__(self, name: str, config: ReceiverConfig, url: str, http: httpx.AsyncClient) -> None:
        self.name = name
        self._url = url
        self._timeout = config.timeout_s
        self._wait_ms = int(config.wait_s * 1000)
        self._http = http
        self.refused: list[str] = []

    def due(self, partition: AlertPartition, now_ms: int) -> list[Due]:
        """What is to be told now."""
        return list(self._due(partition, now_ms))

    def _due(self, partition: AlertPartition, now_ms: int) -> Iterator[Due]:
        for group, case in partition.cases():
            told = case.told.get(self.name)
            firing, resolved = f"firing {case.round}", f"resolved {case.round}"
            if told == firing:
                if case.resolved_at is not None:
                    yield group, case, resolved
            elif case.resolved_at is None and now_ms - case.seen_at >= self._wait_ms:
                alerts = [m.alert for m in case.members.values() if m.alert.state == "firing"]
                if any(a.suppressed is None and self.name in partition.routes.of(a) for a in alerts):
                    yield group, case, firing

    async def tell(self, partition: AlertPartition, due: Sequence[Due], now_ms: int) -> None:
        """Tell it, one after the other, and note that; what it refuses for good counts as told.

        Raises:
            httpx.HTTPError: it could not be told; it is due again.
        """
        for group, case, state in due:
            # Numbers begin anew when a group has been forgotten; what was seen at another time is another.
            key = f"{identity(group.key, case)} {state} {case.seen_at}"
            answer = await self._http.post(
                self._url,
                content=encode(partition.incident(group.key, case)),
                headers={"Content-Type": "application/json", "Idempotency-Key": key},
                timeout=self._timeout,
            )
            if answer.status_code in AGAIN or answer.status_code >= 500:
                answer.raise_for_status()
            if answer.is_error:
                self.refused.append(f"{answer.status_code} to {key}")
            case.told[self.name] = state
            partition.mark(group)
