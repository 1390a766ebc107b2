"""One partition of groups: their alerts' changes become alerts and incidents on the topic `alerts`.

What stands there in the end depends on what was told, not on the order in which changes and silences came: a
silence that comes late holds back what it should have held back, and is told again.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from schemas import Alert, Incident, SchemaError, decode
from schemas.alert import State
from schemas.control import Control
from streams import incidents
from streams.config import AlertConfig
from streams.config.alerts import TOPIC
from streams.incidents import Case, GroupState
from streams.ingest import dead_letter
from streams.matching import MatcherError
from streams.output import Output, output
from streams.partition import Recall
from streams.record import Record
from streams.rules import Grouping, Routes
from streams.suppression import Held, Suppression

log = logging.getLogger(__name__)

SILENCES = b"silences"
FORGET_MS = 86_400_000
FORGET_EVERY_MS = 60_000
RANK: dict[State, int] = {"pending": 0, "firing": 1, "resolved": 2}


class AlertPartition:
    """Alerts, incidents and silences of one partition of groups."""

    def __init__(self, partition: int, config: AlertConfig) -> None:
        self.partition = partition
        self.suppression = Suppression()
        self.groups: dict[str, GroupState] = {}
        self.grouping = Grouping(config.incidents)
        self.routes = Routes(config)
        self._window = int(config.incidents.window_s * 1000)
        self._names = frozenset(config.receivers)
        self._forgot = 0
        self._dirty: set[str] = set()
        self._silences_dirty = False

    # -- input -------------------------------------------------------------------------------------

    def process(self, records: Sequence[Record], now_ms: int) -> list[Output]:
        """Use changes of alerts, or events that were passed on, told apart by their schema."""
        outputs: list[Output] = []
        touched: dict[tuple[str, int], None] = {}
        for record in records:
            try:
                told = decode(record.value or b"", Alert | Control)  # type: ignore[arg-type]
                if isinstance(told, Control):
                    outputs += self._control(told, now_ms, touched)
                else:
                    outputs += self._change(told, now_ms, touched)
            except (SchemaError, MatcherError) as error:
                outputs.append(output("dead-letters", record.topic, dead_letter(record, str(error))))
        return outputs + self._incidents(touched)

    def _control(self, control: Control, now_ms: int, touched: dict[tuple[str, int], None]) -> list[Output]:
        if not self.suppression.take(control):
            return []
        self._silences_dirty = True
        return self._again(now_ms, touched)

    def _change(self, alert: Alert, now_ms: int, touched: dict[tuple[str, int], None]) -> list[Output]:
        found = self.grouping.of(alert.labels, alert.target, alert.series)
        group = self.groups.setdefault(found.key, GroupState(key=found.key))
        place = (alert.changed_at, RANK[alert.state])
        if place <= group.last.get(alert.fingerprint, (-1, 0)):
            return []  # a replay
        group.last[alert.fingerprint] = place
        self._dirty.add(found.key)
        alert = self._suppressed(alert, alert.changed_at)
        was_waiting = group.waiting.pop(alert.fingerprint, None) is not None
        if alert.state == "pending":
            group.waiting[alert.fingerprint] = alert
        elif alert.state == "firing" or not was_waiting:
            case = incidents.join(group, alert, found.labels, self._window, now_ms)
            alert = msgspec.structs.replace(alert, incident=incidents.identity(group.key, case))
            case.members[alert.fingerprint].alert = alert
            touched[group.key, case.number] = None
        return self._tell(alert)

    def _suppressed(self, alert: Alert, at: int) -> Alert:
        """The alert with what holds it back at `at`; flapping stays where nothing else does."""
        held = self.suppression.of(alert, at)
        if held is None and alert.suppressed == "flapping":
            held = "flapping"
        return msgspec.structs.replace(alert, suppressed=held)

    def tick(self, now_ms: int) -> list[Output]:
        """It is `now_ms`: silences begin and end; what is over for long is forgotten."""
        touched: dict[tuple[str, int], None] = {}
        outputs = self._again(now_ms, touched)
        outputs += self._incidents(touched)
        if now_ms - self._forgot >= FORGET_EVERY_MS:
            self._forgot = now_ms
            self._silences_dirty |= self.suppression.forget(now_ms)
            for group in list(self.groups.values()):
                self._forget(group, now_ms)
        return outputs

    def _again(self, now_ms: int, touched: dict[tuple[str, int], None]) -> list[Output]:
        """Tell again of alerts that are suppressed now and were not, or the other way round."""
        held = self.suppression.held
        if not (held.silences or held.windows):
            return []
        outputs = []
        for group in self.groups.values():
            for fingerprint, waiting in list(group.waiting.items()):
                if (now := self._suppressed(waiting, max(now_ms, waiting.changed_at))) != waiting:
                    group.waiting[fingerprint] = now
                    self._dirty.add(group.key)
                    outputs += self._tell(now)
            for case in group.cases:
                for member in case.members.values():
                    known = member.alert
                    # What is resolved was held back, or not, when that happened.
                    at = known.changed_at if known.state == "resolved" else max(now_ms, known.changed_at)
                    if (now := self._suppressed(known, at)) != known:
                        member.alert = now
                        self._dirty.add(group.key)
                        touched[group.key, case.number] = None
                        outputs += self._tell(now)
        return outputs

    def _forget(self, group: GroupState, now_ms: int) -> None:
        """Cases that can neither open again nor have anybody to be told of them, and alerts long over."""
        over = now_ms - max(FORGET_MS, 2 * self._window)
        cases = [c for c in group.cases if c.resolved_at is None or c.resolved_at >= over or self._untold(c)]
        known = {*group.waiting, *(fingerprint for case in cases for fingerprint in case.members)}
        last = {each: place for each, place in group.last.items() if each in known or place[0] >= over}
        if len(cases) == len(group.cases) and len(last) == len(group.last):
            return
        group.cases, group.last = cases, last
        self._dirty.add(group.key)
        if not (cases or last or group.waiting):
            del self.groups[group.key]

    def _untold(self, case: Case) -> bool:
        """Whether a receiver has been told of the beginning and not of the end."""
        told = [case.told, *(member.told for member in case.members.values())]
        return any(
            state.startswith("firing") for each in told for name, state in each.items() if name in self._names
        )

    # -- output ------------------------------------------------------------------------------------

    def _tell(self, alert: Alert) -> list[Output]:
        return [output("alerts", alert.fingerprint, alert)] if TOPIC in self.routes.of(alert) else []

    def _incidents(self, touched: Mapping[tuple[str, int], None]) -> list[Output]:
        outputs = []
        for key, number in touched:
            case = next(case for case in self.groups[key].cases if case.number == number)
            message = self.incident(key, case)
            if any(TOPIC in self.routes.of(member.alert) for member in case.members.values()):
                outputs.append(output("alerts", message.fingerprint, message))
        return outputs

    def incident(self, key: str, case: Case) -> Incident:
        """The incident as it stands."""
        return incidents.message(key, case, self.grouping, lambda alert: alert.suppressed)

    def cases(self) -> Iterator[tuple[GroupState, Case]]:
        """All incidents that are remembered."""
        for group in self.groups.values():
            for case in group.cases:
                yield group, case

    def mark(self, group: GroupState) -> None:
        """Note that what receivers were told of a group has changed."""
        self._dirty.add(group.key)

    # -- state -------------------------------------------------------------------------------------

    def changed(self) -> int:
        """How many groups changed since the last snapshot."""
        return len(self._dirty) + self._silences_dirty

    @property
    def durable(self) -> None:
        """None: a snapshot has all that was processed."""

    def snapshot(self, most: int | None = None) -> list[tuple[bytes, bytes | None]]:
        """The groups that have changed since the last snapshot, and the silences if they have."""
        entries: list[tuple[bytes, bytes | None]] = []
        for key in sorted(self._dirty):
            group = self.groups.get(key)
            entries.append((b"g" + key.encode(), msgspec.msgpack.encode(group) if group else None))
        if self._silences_dirty:
            entries.append((SILENCES, msgspec.msgpack.encode(self.suppression.held)))
        self._dirty.clear()
        self._silences_dirty = False
        return entries

    def restore(self, blocks: Mapping[bytes, bytes], recall: Recall) -> None:
        """Take over groups and silences."""
        for key, data in blocks.items():
            try:
                if key == SILENCES:
                    self.suppression = Suppression(msgspec.msgpack.decode(data, type=Held))
                else:
                    group = msgspec.msgpack.decode(data, type=GroupState)
                    self.groups[group.key] = group
            except (msgspec.MsgspecError, MatcherError) as error:
                log.warning("alerts of %s cannot be used (%s): left out", key.decode(errors="replace"), error)
