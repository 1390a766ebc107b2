"""Recent history of the worker, bounded and in memory, and the subscriptions of those who watch it."""

import asyncio
import logging
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec

from schemas import (
    Alert,
    Anomaly,
    Command,
    DeadLetter,
    Forecast,
    Incident,
    Outcome,
    ReleaseChange,
    SchemaError,
    decode,
)
from streams.console.history import Change, History
from streams.console.part import Heard, Letter, Part, Release
from streams.output import Output

log = logging.getLogger(__name__)


class Subscription:
    """What has become new for one watcher since it last asked, at most `limit` items.

    A watcher that does not ask in time is dropped: `next` returns None, and it may subscribe again.
    """

    def __init__(self, target: str | None, limit: int) -> None:
        self.target = target
        self._limit = limit
        self._part = Part(target=target)
        self._items = 0
        self._open = True
        self._news = asyncio.Event()

    @property
    def open(self) -> bool:
        """False once it was dropped or closed."""
        return self._open

    def put(self, field: str, item: Any) -> None:
        """Add an item to the list `field` of the next part; drop the watcher when there is no room."""
        if self._items >= self._limit:
            self.close()
            return
        self._items += 1
        getattr(self._part, field).append(item)
        self._news.set()

    def part(self) -> Part:
        """The part under construction, for what replaces itself rather than adding up."""
        self._news.set()
        return self._part

    async def next(self) -> Part | None:
        """Wait until something is new and return it; None when the subscription has ended."""
        await self._news.wait()
        if not self._open:
            return None
        part, self._part, self._items = self._part, Part(target=self.target), 0
        self._news.clear()
        return part

    def close(self) -> None:
        """End it; what was not fetched is forgotten."""
        self._open = False
        self._part = Part()
        self._news.set()


class Feed:
    """Gathers what the stages write, for those who watch.

    `points` bounds each chart of each target, `total` those of all targets together (with many targets
    each is kept for a shorter time), `recent` each list, `backlog` the items that wait for one watcher.
    Everything happens in one event loop.
    """

    def __init__(
        self, *, points: int = 5_000, total: int = 100_000, recent: int = 200, backlog: int = 5_000
    ) -> None:
        self._points = points
        self._total = total
        self._recent = recent
        self._backlog = backlog
        self._targets: dict[str, History] = {}
        self._anomalies: dict[str, Anomaly] = {}  # by id, like the commands: a replay gives the same ids
        self._alerts: dict[str, Alert] = {}  # newest change by fingerprint, oldest change first
        self._incidents: dict[str, Incident] = {}  # newest change by fingerprint
        self._heard: dict[str, Heard] = {}
        self._commands: dict[str, Command] = {}
        self._outcomes: dict[str, Outcome] = {}  # by command
        self._letters: deque[Letter] = deque(maxlen=recent)
        self._counts: Counter[str] = Counter()
        self._watchers: set[Subscription] = set()
        self._unreadable: set[str] = set()

    # -- input ---------------------------------------------------------------------------------

    def outputs(self, stage: str, outputs: Sequence[Output]) -> None:
        """Take what a stage wrote. Of a flood of messages only the newest are decoded."""
        by_topic: defaultdict[str, list[bytes]] = defaultdict(list)
        for topic, _, value, _ in outputs:
            by_topic[topic].append(value)
        for topic, values in by_topic.items():
            self._counts[topic] += len(values)
            self._take(topic, values if topic == "forecasts" else values[-self._recent :])
        if by_topic:
            for watcher in self._watching():
                watcher.part().counts = dict(self._counts)

    def service(self, target: str, ts: int, load: float, ready: int, paid: int) -> None:
        """Take what a service says of itself at event time `ts` (Unix ms): load, ready and paid replicas."""
        self._chart(target, self._history(target).service(ts, load, ready, paid))

    def release(self, target: str, ts: int, release: str) -> None:
        """Take note that `release` reached `target` at event time `ts` (Unix ms)."""
        item = Release(target=target, release=release, ts=ts)
        history = self._history(target)
        if item not in history.releases:
            history.releases.append(item)
            self._tell("releases", item)

    def _take(self, topic: str, values: Sequence[bytes]) -> None:
        for value in values:
            try:
                self._message(topic, value)
            except SchemaError as error:
                # Watching must not stop the stream; said once per topic, since it would repeat.
                if topic not in self._unreadable:
                    self._unreadable.add(topic)
                    log.warning("a message for %s is unreadable, the console leaves it out: %s", topic, error)

    def _message(self, topic: str, value: bytes) -> None:
        match topic:
            case "forecasts":
                forecast = decode(value, Forecast)
                self._chart(forecast.target, self._history(forecast.target).forecast(forecast))
            case "anomalies":
                self._anomaly(decode(value, Anomaly))
            case "alerts":
                told: Alert | Incident = decode(value, Alert | Incident)  # type: ignore[arg-type]
                if isinstance(told, Incident):
                    self._incident(told)
                else:
                    self._alert(told)
            case "commands":
                self._command(decode(value, Command))
            case "outcomes":
                self._outcome(decode(value, Outcome))
            case "releases":
                self._change(decode(value, ReleaseChange))
            case "dead-letters":
                self._letter(decode(value, DeadLetter))

    def _anomaly(self, anomaly: Anomaly) -> None:
        if anomaly.id in self._anomalies:
            return
        self._anomalies[anomaly.id] = anomaly
        _bound(self._anomalies, self._recent)
        if anomaly.target is not None:
            self._history(anomaly.target).anomalies.append(anomaly)
        self._tell("anomalies", anomaly)

    def _alert(self, alert: Alert) -> None:
        known = self._alerts.pop(alert.fingerprint, None)
        newest = known if known is not None and known.changed_at > alert.changed_at else alert
        self._alerts[alert.fingerprint] = newest
        if len(self._alerts) > self._recent:
            # Resolved ones go first: what is still wrong has to stay in sight.
            over = next(
                (f for f, a in self._alerts.items() if a.state == "resolved"), next(iter(self._alerts))
            )
            del self._alerts[over]
        if newest is alert:
            self._tell("alerts", alert)

    def _incident(self, incident: Incident) -> None:
        self._incidents.pop(incident.fingerprint, None)
        self._incidents[incident.fingerprint] = incident
        _bound(self._incidents, self._recent)
        self._tell("incidents", incident)

    def heard(self, heard: Sequence[Heard]) -> None:
        """Take note of feedback and of what it did, newest last; what is known already is left out."""
        for each in heard:
            identity = f"{each.series} {each.ts} {each.verdict}"
            if identity not in self._heard:
                self._heard[identity] = each
                _bound(self._heard, self._recent)
                self._tell("feedback", each)

    def _command(self, command: Command) -> None:
        if command.id in self._commands:
            return
        self._commands[command.id] = command
        _bound(self._commands, self._recent)
        self._chart(command.target, self._history(command.target).command(command))
        self._tell("commands", command)

    def _outcome(self, outcome: Outcome) -> None:
        if outcome.status == "duplicate" and outcome.command in self._outcomes:
            return  # what the command came to is told already
        self._outcomes[outcome.command] = outcome
        _bound(self._outcomes, 2 * self._recent)
        self._tell("outcomes", outcome)

    def _change(self, change: ReleaseChange) -> None:
        if change.what == "deployed":
            self.release(change.target, change.ts, change.release)
        elif change.what == "rolled-back" and change.to is not None:
            self.release(change.target, change.ts, change.to)

    def _letter(self, letter: DeadLetter) -> None:
        short = Letter(
            topic=letter.topic,
            partition=letter.partition,
            offset=letter.offset,
            reason=letter.reason[:1_000],
            at=letter.at,
        )
        self._letters.append(short)
        self._tell("dead_letters", short)

    def _history(self, target: str) -> History:
        history = self._targets.get(target)
        if history is None:
            if (len(self._targets) + 1) * self._points > self._total:
                self._points = max(1, self._points // 2)  # halved, so that it happens seldom
                for known in self._targets.values():
                    known.keep(self._points)
            history = self._targets[target] = History(self._points, self._recent)
        return history

    # -- watchers ------------------------------------------------------------------------------

    def _chart(self, target: str, changes: Iterator[Change]) -> None:
        changed = list(changes)
        for watcher in self._watching():
            if watcher.target is None:
                watcher.target = watcher.part().target = target
            if watcher.target == target:
                for field, item in changed:
                    watcher.put(field, item)
                watcher.part().ahead = self._targets[target].ahead
            watcher.part().targets[target] = self._targets[target].now

    def _tell(self, field: str, item: msgspec.Struct) -> None:
        for watcher in self._watching():
            watcher.put(field, item)

    def _watching(self) -> list[Subscription]:
        self._watchers = {watcher for watcher in self._watchers if watcher.open}
        return list(self._watchers)

    def subscribe(self, target: str | None = None) -> Subscription:
        """Watch from now on; charts are those of `target`, or of the first target there is."""
        watcher = Subscription(target or next(iter(self._targets), None), self._backlog)
        self._watchers.add(watcher)
        return watcher

    @property
    def targets(self) -> list[str]:
        """Names of the targets seen so far."""
        return list(self._targets)

    def snapshot(self, target: str | None = None) -> Part:
        """Everything kept; charts are those of `target`, or of the first target there is."""
        target = target or next(iter(self._targets), None)
        part = Part(
            target=target,
            targets={name: history.now for name, history in self._targets.items()},
            anomalies=list(self._anomalies.values()),
            alerts=list(self._alerts.values()),
            incidents=list(self._incidents.values()),
            feedback=list(self._heard.values()),
            commands=list(self._commands.values()),
            outcomes=list(self._outcomes.values()),
            dead_letters=list(self._letters),
            counts=dict(self._counts),
        )
        history = self._targets.get(target) if target is not None else None
        if history is not None:
            history.fill(part)
            part.anomalies = _joined(history.anomalies, part.anomalies)
            part.commands = _joined(history.commands, part.commands)
            part.releases = list(history.releases)
        return part


def _bound(items: dict[str, Any], most: int) -> None:
    while len(items) > most:
        del items[next(iter(items))]


def _joined(first: Iterable[Any], second: Iterable[Any]) -> list[Any]:
    return list({item.id: item for item in (*first, *second)}.values())
