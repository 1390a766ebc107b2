"""Silences and maintenance windows: what holds the notification of an alert back."""

from collections.abc import Mapping

import msgspec

from schemas import Alert, MaintenanceWindow, Silence
from schemas.control import Control
from streams.matching import Matcher, matches, parse_matchers
from streams.rules import labels_of

KEEP_MS = 7 * 86_400_000  # ended ones are listed for so long


class Held(msgspec.Struct, kw_only=True):
    """Silences and windows by their ids, and how far `events` is known, by its partitions."""

    silences: dict[str, Silence] = {}
    windows: dict[str, MaintenanceWindow] = {}
    told: dict[int, int] = {}


class Suppression:
    """Knows what suppresses an alert. A later message of an id replaces an earlier one."""

    def __init__(self, held: Held | None = None) -> None:
        self.held = held or Held()
        self._matchers: dict[str, tuple[Matcher, ...]] = {
            silence.id: parse_matchers(silence.matchers) for silence in self.held.silences.values()
        }

    def take(self, control: Control) -> bool:
        """Take an event that was passed on; False where it changes nothing or is known.

        Raises:
            MatcherError: it has a matcher that says nothing.
        """
        if control.offset <= self.held.told.get(control.partition, -1):
            return False
        event = control.event
        if isinstance(event, Silence):
            self._matchers[event.id] = parse_matchers(event.matchers)
            self.held.silences[event.id] = event
        elif isinstance(event, MaintenanceWindow):
            self.held.windows[event.id] = event
        self.held.told[control.partition] = control.offset
        return True

    def forget(self, now_ms: int) -> bool:
        """Forget what ended long ago; whether there was any."""
        known: tuple[dict[str, Silence] | dict[str, MaintenanceWindow], ...]
        known = (self.held.silences, self.held.windows)
        old = [(each, id_) for each in known for id_ in each if each[id_].ends_at < now_ms - KEEP_MS]
        for each, id_ in old:
            del each[id_]
            self._matchers.pop(id_, None)
        return bool(old)

    def active(self, now_ms: int) -> Mapping[str, Silence | MaintenanceWindow]:
        """What suppresses something now, by id."""
        both: dict[str, Silence | MaintenanceWindow] = {}
        both.update(self.held.silences)
        both.update(self.held.windows)
        return {id_: each for id_, each in both.items() if each.starts_at <= now_ms < each.ends_at}

    def of(self, alert: Alert, at: int) -> str | None:
        """What holds the alert back at `at` (Unix ms): "silence", "maintenance", or None."""
        labels: dict[str, str] | None = None
        for id_, each in self.active(at).items():
            if isinstance(each, Silence):
                labels = labels or labels_of(alert)
                if matches(self._matchers[id_], labels):
                    return "silence"
            elif each.target in (None, alert.target) and each.matchers.items() <= alert.labels.items():
                return "maintenance"
        return None
