"""`tidegate tail`: the records of a topic as they come, one line of words each."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import (
    Alert,
    Anomaly,
    Command,
    Cost,
    DeadLetter,
    Deployment,
    Feedback,
    Flag,
    Forecast,
    Incident,
    KnownEvent,
    MaintenanceWindow,
    Message,
    ModelVersion,
    Outcome,
    Place,
    Promote,
    ReleaseChange,
    ReleaseOrder,
    Rollback,
    Scale,
    SchemaError,
    SetTraffic,
    Signal,
    Silence,
    decode,
)
from schemas.control import Control, Tick
from streams.record import Record
from streams.topics import partitions_of

MESSAGES = (
    Alert
    | Anomaly
    | Command
    | Cost
    | DeadLetter
    | Deployment
    | Feedback
    | Flag
    | KnownEvent
    | Forecast
    | Incident
    | MaintenanceWindow
    | ModelVersion
    | Outcome
    | ReleaseChange
    | ReleaseOrder
    | Signal
    | Silence
    | Control
    | Tick
)
MOST_CHARACTERS = 400


class TailError(RuntimeError):
    """The topic cannot be read; the text says why and what to do."""


async def tail(
    topic: str,
    *,
    connection: Mapping[str, Any],
    last: int | None = 10,
    follow: bool = True,
) -> AsyncIterator[Record]:
    """Yield the last `last` records of each partition (None: all there are), then, with `follow`, new ones.

    Reads without a group, so it takes nothing from anyone. `connection` are aiokafka's keyword arguments.

    Raises:
        TailError: there is no such topic.
        KafkaError: the brokers cannot be reached.
    """
    async with AIOKafkaConsumer(**connection, enable_auto_commit=False, fetch_max_wait_ms=100) as consumer:
        topics = await consumer.topics()
        if topic not in topics:
            known = ", ".join(sorted(name for name in topics if not name.startswith("__"))) or "none"
            raise TailError(f"there is no topic {topic} at {connection['bootstrap_servers']}; there: {known}")
        partitions = await partitions_of(topic, connection)
        consumer.assign(partitions)
        begin = await consumer.beginning_offsets(partitions)
        end = await consumer.end_offsets(partitions)
        for partition in partitions:
            wanted = begin[partition] if last is None else end[partition] - last
            consumer.seek(partition, max(begin[partition], wanted))
        while follow or await _before(consumer, end):
            batches = await consumer.getmany(timeout_ms=200)
            for record in sorted((r for batch in batches.values() for r in batch), key=lambda r: r.timestamp):
                yield record


async def _before(consumer: AIOKafkaConsumer, end: Mapping[TopicPartition, int]) -> bool:
    for partition, offset in end.items():
        if await consumer.position(partition) < offset:
            return True
    return False


def line(record: Record) -> str:
    """One line that says what `record` says; safe to print, whatever the record holds.

    A message of Tidegate is told in words. Anything else is shown as it is, shortened.
    """
    value = record.value
    if value is None:
        return _safe(f"{_clock(record.timestamp)}  {_text(record.key)}: deleted")
    try:
        message: Any = decode(value, MESSAGES)  # type: ignore[arg-type]
    except SchemaError:
        return _safe(f"{_clock(record.timestamp)}  {_compact(value)}")
    return words(message)


def words(message: Message) -> str:
    """The message in one line of words; safe to print."""
    return _safe(_TOLD[type(message)](message))


def _anomaly(anomaly: Anomaly) -> str:
    band = "" if anomaly.lower is None else f" ({_number(anomaly.lower)} to {_number(anomaly.upper)})"
    evidence = ", ".join(f"{each.name} ×{each.strength:.3g}" for each in anomaly.evidence)
    expected = "nothing yet" if anomaly.expected is None else _number(anomaly.expected)
    return (
        f"{_clock(anomaly.ts)}  anomaly  {anomaly.series} is {_number(anomaly.value)}, "
        f"expected {expected}{band}; {evidence or 'no evidence told'}"
    )


def _alert(alert: Alert) -> str:
    held = f" [held back: {alert.suppressed}]" if alert.suppressed else ""
    return f"{_clock(alert.changed_at)}  {alert.state}  {alert.severity}: {alert.summary}{held}"


def _forecast(forecast: Forecast) -> str:
    made = f"{_clock(forecast.ts)}  forecast  {forecast.target}: now {_number(forecast.observed)}"
    if not forecast.horizons_ms:
        return made
    quantiles = ", ".join(
        f"{_number(value)} at {level:.4g}"
        for level, value in zip(forecast.levels, forecast.values[-1], strict=False)
    )
    return f"{made}; in {forecast.horizons_ms[-1] / 1000:g} s {quantiles}; by {forecast.model}"


def _command(command: Command) -> str:
    match command.action:
        case Scale(replicas=replicas, previous=previous):
            what = f"scale {previous} → {replicas}"
        case Rollback(release=release, to=to):
            what = f"roll {release} back" + (f" to {to}" if to else "")
        case Promote(release=release):
            what = f"promote {release}"
        case SetTraffic(release=release, percent=percent):
            what = f"give {release} {percent:g} % of traffic"
        case Place(job=job, node=node, start_at=start):
            what = f"place {job} on {node} at {_clock(start)}"
    reasons = "; ".join(command.reasons)
    return f"{_clock(command.issued_at)}  command  {command.target}: {what}, because {reasons}"


def _outcome(outcome: Outcome) -> str:
    return f"{_clock(outcome.at)}  {outcome.status}  {outcome.target}: {outcome.kind}, {outcome.detail}"


def _cost(cost: Cost) -> str:
    spent = ", ".join(f"{name} {_number(fleet.spend)}" for name, fleet in cost.fleets.items())
    told = f"{_clock(cost.ts)}  cost  {cost.target} in {cost.month}: {spent}"
    return f"{told}; {_number(cost.expected)} expected at the end"


def _dead_letter(letter: DeadLetter) -> str:
    place = f"{letter.topic}[{letter.partition}] offset {letter.offset}"
    return f"{_clock(letter.at)}  refused  {place}: {letter.reason}"


def _deployment(deployment: Deployment) -> str:
    share = "" if deployment.canary_percent is None else f" with {deployment.canary_percent:g} % of traffic"
    before = f" after {deployment.previous}" if deployment.previous else ""
    return f"{_clock(deployment.ts)}  deployed  {deployment.target}: {deployment.release}{before}{share}"


def _maintenance(window: MaintenanceWindow) -> str:
    what = window.target or ", ".join(f"{k}={v}" for k, v in window.matchers.items()) or "everything"
    return f"{_clock(window.starts_at)}  maintenance  {what} until {_clock(window.ends_at)}: {window.reason}"


def _incident(incident: Incident) -> str:
    held = f" [held back: {incident.suppressed}]" if incident.suppressed else ""
    count = f"{incident.firing} of {incident.series} series fire"
    return f"{_clock(incident.changed_at)}  {incident.state}  incident, {count}: {incident.summary}{held}"


def _silence(silence: Silence) -> str:
    what = ", ".join(silence.matchers) or "everything"
    until = f"{what} until {_clock(silence.ends_at)}"
    return f"{_clock(silence.starts_at)}  silence  {silence.id}: {until}: {silence.reason}"


def _control(control: Control) -> str:
    return f"passed on: {_TOLD[type(control.event)](control.event)}"


def _tick(tick: Tick) -> str:
    return f"{_clock(tick.now)}  the time"


def _feedback(feedback: Feedback) -> str:
    return f"{_clock(feedback.ts)}  {feedback.verdict}  {feedback.series}, says {feedback.by or 'someone'}"


def _change(change: ReleaseChange) -> str:
    share = "" if change.percent is None else f" at {change.percent:g} % of traffic"
    back = f" to {change.to}" if change.to else ""
    return (
        f"{_clock(change.ts)}  {change.what}  {change.target}: {change.release}{back}{share}"
        f", by {change.by or 'someone'}" + (f": {change.reason}" if change.reason else "")
    )


def _order(order: ReleaseOrder) -> str:
    return f"{_clock(order.ts)}  order  {order.target}: {order.order} {order.release or ''}, says {order.by}"


def _known_event(event: KnownEvent) -> str:
    why = f": {event.reason}" if event.reason else ""
    until = _clock(event.ends_at)
    return f"{_clock(event.starts_at)}  known event  {event.target} times {event.factor:g} until {until}{why}"


def _model(model: ModelVersion) -> str:
    figures = ", ".join(f"{name} {value:.4g}" for name, value in sorted(model.metrics.items()))
    why = f"; {model.reason}" if model.reason else ""
    told = figures or "no figures yet"
    return f"{_clock(model.ts)}  {model.standing}  {model.target}: {model.version}; {told}{why}"


def _flag(flag: Flag) -> str:
    shares = ", ".join(f"{name} {percent:g} %" for name, percent in flag.percents.items())
    state = shares if flag.enabled and shares else "nobody"
    return f"flag  {flag.key}: {state}, else {flag.default}, by {flag.by or 'someone'}: {flag.reason}"


def _signal(signal: Signal) -> str:
    newest = f", newest {_number(signal.values[-1])}" if signal.values else ""
    at = _clock(signal.times[-1]) if signal.times else "-"
    return f"{at}  signal  {signal.target}: {signal.role}, {len(signal.values)} of {signal.series}{newest}"


_TOLD: dict[type, Callable[[Any], str]] = {
    Alert: _alert,
    Anomaly: _anomaly,
    Command: _command,
    Control: _control,
    Cost: _cost,
    DeadLetter: _dead_letter,
    Deployment: _deployment,
    Feedback: _feedback,
    Flag: _flag,
    Forecast: _forecast,
    Incident: _incident,
    KnownEvent: _known_event,
    MaintenanceWindow: _maintenance,
    ModelVersion: _model,
    Outcome: _outcome,
    ReleaseChange: _change,
    ReleaseOrder: _order,
    Signal: _signal,
    Silence: _silence,
    Tick: _tick,
}


def _compact(value: bytes) -> str:
    try:
        return json.dumps(json.loads(value), ensure_ascii=False, separators=(",", ":"))
    except (ValueError, RecursionError):
        return _text(value)


def _text(data: bytes | None) -> str:
    return "-" if data is None else data.decode(errors="backslashreplace")


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def _clock(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"


def _safe(text: str) -> str:
    # Records are untrusted: control characters would move the cursor, set the title, or worse.
    shown = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: MOST_CHARACTERS + 1]
    )
    return shown if len(text) <= MOST_CHARACTERS else shown[:MOST_CHARACTERS] + " …"
