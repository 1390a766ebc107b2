"""Prometheus metrics of a worker: what its stages wrote, how long it took, how its targets stand."""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import get_args

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from schemas import Action, Status
from schemas.alert import State
from schemas.event import Verdict
from streams.horizon import near
from streams.output import Output
from streams.series_rows import Counts

log = logging.getLogger(__name__)

LATENCY_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
SILENT_MS = 900_000  # gauges of a target that nothing was told of for so long are dropped
KINDS = tuple(str(action.__struct_config__.tag) for action in get_args(Action))
CHECKPOINT_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


# What is read of the messages of the small topics. msgspec skips the other fields without building them.
class _Anomaly(msgspec.Struct, frozen=True):
    produced_at: int


class _Alert(msgspec.Struct, frozen=True):
    schema: str
    state: str
    suppressed: str | None = None


class _Action(msgspec.Struct, frozen=True):
    kind: str
    replicas: int | None = None


class _Command(msgspec.Struct, frozen=True):
    target: str
    action: _Action


class _Outcome(msgspec.Struct, frozen=True):
    kind: str
    status: str


class _Model(msgspec.Struct, frozen=True):
    target: str
    metrics: dict[str, float]


class _Forecast(msgspec.Struct, frozen=True):
    target: str
    observed: float | None  # msgspec writes NaN as null
    horizons_ms: list[int]
    levels: list[float]
    values: list[list[float | None]]


@dataclass(slots=True)
class _Counted:
    """How far the counts of a partition have been told. The counts themselves tell a new owner's apart."""

    counts: Counts
    samples: int = 0
    records: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    feedback: dict[str, int] = field(default_factory=dict)


class Telemetry:
    """Fills the metrics of one worker in `registry`; `clock` returns wall-clock Unix ms.

    Counters never go back while the process lives, also when partitions move to another worker and return.
    """

    def __init__(self, registry: CollectorRegistry, *, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._counted: dict[int, _Counted] = {}
        self._unreadable: set[str] = set()
        self._told: dict[str, int] = {}  # target: when its gauges were set
        self._levels: dict[str, set[str]] = {}
        ProcessCollector(registry=registry)

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"tidegate_{name}", what, labels, registry=registry)

        def gauge(name: str, what: str, *labels: str) -> Gauge:
            return Gauge(f"tidegate_{name}", what, labels, registry=registry)

        self._records = counter("records", "Records read from the metrics topic")
        self._samples = counter("samples", "Samples that a detector has learnt")
        self._dropped = counter("dropped_samples", "Samples that were data but not used, by policy", "policy")
        self._dead_letters = counter("dead_letters", "Records refused, by the topic they came from", "topic")
        self._anomalies = counter("anomalies", "Anomalies found")
        self._alerts = counter("alerts", "Changes of state of alerts", "state")
        self._suppressed = counter("alerts_suppressed", "Changes of alerts held back, by what", "by")
        self._incidents = counter("incidents", "Changes of state of incidents", "state")
        self._notified = counter("notifications", "Receivers told, by what came of it", "receiver", "status")
        self._feedback = counter("feedback", "Words on alarms that were heard, by verdict", "verdict")
        self._silences = gauge("silences", "Silences and maintenance windows that are active")
        self._open_incidents = gauge("incidents_open", "Incidents that fire now")
        self._moved = gauge("moved_thresholds", "Series whose threshold feedback has moved", "partition")
        self._forecasts = counter("forecasts", "Forecasts made")
        self._commands = counter("commands", "Commands issued", "kind")
        self._outcomes = counter("outcomes", "Commands settled", "kind", "status")
        # From zero on, since `increase` does not see the first count of a series that was not there before.
        for state in get_args(State):
            self._alerts.labels(state)
            if state != "pending":
                self._incidents.labels(state)
        for verdict in get_args(Verdict):
            self._feedback.labels(verdict)
        for kind in KINDS:
            self._commands.labels(kind)
            for status in get_args(Status):
                self._outcomes.labels(kind, status)
        self._series = gauge("series", "Series held in memory, by partition of metrics", "partition")
        self._lag = gauge("lag_records", "Records not yet read, by topic and partition", "topic", "partition")
        self._load = gauge("target_load", "Load of the target, in its own unit", "target")
        self._replicas = gauge("target_replicas", "Replicas last asked for", "target")
        self._quantiles = gauge(
            "target_forecast", "Load forecast for ten minutes ahead, by quantile", "target", "quantile"
        )
        self._model = gauge("model_figure", "Losses, coverage, drift of models", "target", "figure")
        self._registry = registry
        self._ledger_up: Gauge | None = None
        self._latency = Histogram(
            "tidegate_detect_latency_seconds",
            "From producing a record to its anomaly",
            buckets=LATENCY_S,
            registry=registry,
        )
        self._checkpoint = Histogram(
            "tidegate_checkpoint_seconds",
            "Making state durable",
            ("stage",),
            buckets=CHECKPOINT_S,
            registry=registry,
        )
        self._blocks = counter("checkpoint_blocks", "Blocks of state written to the changelog", "stage")
        self._bytes = counter("checkpoint_bytes", "Bytes of state written to the changelog", "stage")

    # -- outputs -------------------------------------------------------------------------------

    def outputs(self, stage: str, outputs: Sequence[Output]) -> None:
        """Count what a stage wrote; only the small topics are looked into."""
        anomalies: list[bytes] = []
        for topic, key, value, _ in outputs:
            if topic == "anomalies":
                anomalies.append(value)
            elif topic != "signals":  # as many as there is load, and nothing of them is counted
                self._count(topic, key, value)
        if anomalies:
            self._anomalies.inc(len(anomalies))
            self._observe_latency(anomalies)

    def _count(self, topic: str, key: bytes, value: bytes) -> None:
        try:
            self._count_message(topic, key, value)
        except msgspec.DecodeError as error:
            self._warn(topic, error)

    def _count_message(self, topic: str, key: bytes, value: bytes) -> None:
        if topic == "dead-letters":
            self._dead_letters.labels(key.decode(errors="replace")).inc()
        elif topic == "alerts":
            told = _ALERT.decode(value)
            (self._incidents if told.schema.startswith("incident/") else self._alerts).labels(
                told.state
            ).inc()
            if told.suppressed is not None and not told.schema.startswith("incident/"):
                self._suppressed.labels(told.suppressed).inc()
        elif topic == "commands":
            command = _COMMAND.decode(value)
            self._commands.labels(command.action.kind).inc()
            if command.action.replicas is not None:
                self._told[command.target] = self._clock()
                self._replicas.labels(command.target).set(command.action.replicas)
        elif topic == "models":
            version = _MODEL.decode(value)
            for figure, number in version.metrics.items():
                self._model.labels(version.target, figure).set(number)
        elif topic == "outcomes":
            outcome = _OUTCOME.decode(value)
            self._outcomes.labels(outcome.kind, outcome.status).inc()
        elif topic == "forecasts":
            self._forecasts.inc()
            self._forecast(_FORECAST.decode(value))

    def _forecast(self, forecast: _Forecast) -> None:
        self._told[forecast.target] = self._clock()
        if forecast.observed is not None:
            self._load.labels(forecast.target).set(forecast.observed)
        horizon = near(forecast.horizons_ms)
        if horizon is not None:
            for level, value in zip(forecast.levels, forecast.values[horizon], strict=True):
                if value is not None:
                    self._levels.setdefault(forecast.target, set()).add(f"{level:g}")
                    self._quantiles.labels(forecast.target, f"{level:g}").set(value)

    def _observe_latency(self, anomalies: Iterable[bytes]) -> None:
        now = self._clock()
        for value in anomalies:
            try:
                produced_at = _ANOMALY.decode(value).produced_at
            except msgspec.DecodeError as error:
                self._warn("anomalies", error)
                continue
            if produced_at > 0:  # -1 where the record has no timestamp
                self._latency.observe(max(0, now - produced_at) / 1000)

    def _warn(self, topic: str, error: msgspec.DecodeError) -> None:
        # Telemetry must not stop the stream; said once per topic, since it would repeat for each message.
        if topic not in self._unreadable:
            self._unreadable.add(topic)
            log.warning(
                "a message for %s cannot be read, its details are not in the metrics: %s", topic, error
            )

    # -- detection -----------------------------------------------------------------------------

    def detection(self, partition: int, counts: Counts, series: int) -> None:
        """Bring the counters up to the cumulative `counts` of a partition; it holds `series` series."""
        told = self._counted.get(partition)
        if told is None or told.counts is not counts:
            told = self._counted[partition] = _Counted(counts)
        self._records.inc(counts.records - told.records)
        self._samples.inc(counts.samples - told.samples)
        told.records, told.samples = counts.records, counts.samples
        for policy, count in (*counts.dropped.items(), ("replayed", counts.replayed)):
            before = told.dropped.get(policy, 0)
            if count > before:
                self._dropped.labels(policy).inc(count - before)
                told.dropped[policy] = count
        for verdict, count in counts.feedback.items():
            before = told.feedback.get(verdict, 0)
            self._feedback.labels(verdict).inc(count - before)
            told.feedback[verdict] = count
        self._moved.labels(partition).set(counts.moved)
        self._series.labels(partition).set(series)

    def alerting(self, silences: int, incidents: int) -> None:
        """Set how many silences are active and how many incidents fire, as this worker knows."""
        self._silences.set(silences)
        self._open_incidents.set(incidents)

    def notified(self, receiver: str, status: str) -> None:
        """Count a receiver that was told; `status` is sent, failed (tried again) or refused (for good)."""
        self._notified.labels(receiver, status).inc()

    def held(self, partitions: Collection[int]) -> None:
        """Forget the series of partitions that are not among those held now, and targets long silent.

        Another worker tells of them now, and two must not say different things of one target.
        """
        for partition in [p for p in self._counted if p not in partitions]:
            del self._counted[partition]
            self._series.remove(partition)
            self._moved.remove(partition)
        oldest = self._clock() - SILENT_MS
        for target in [name for name, at in self._told.items() if at < oldest]:
            del self._told[target]
            self._load.remove(target)
            self._replicas.remove(target)
            for level in self._levels.pop(target, ()):
                self._quantiles.remove(target, level)

    def lag(self, records: Iterable[tuple[str, int, int]]) -> None:
        """Set how many records are unread: (topic, partition, count) of all that this worker reads now."""
        self._lag.clear()
        for topic, partition, count in records:
            self._lag.labels(topic, partition).set(max(0, count))

    # -- durability and surroundings -----------------------------------------------------------

    def checkpoint(self, stage: str, seconds: float, blocks: int, bytes_: int) -> None:
        """Note that making `blocks` of `bytes_` together durable took `seconds`."""
        self._checkpoint.labels(stage).observe(seconds)
        self._blocks.labels(stage).inc(blocks)
        self._bytes.labels(stage).inc(bytes_)

    def ledger(self, up: bool) -> None:
        """Tell whether the ledger answers."""
        if self._ledger_up is None:  # made here: a worker that never asked must not say that it is down
            self._ledger_up = Gauge(
                "tidegate_ledger_up",
                "Whether the command ledger answers (1) or not (0)",
                registry=self._registry,
            )
        self._ledger_up.set(1 if up else 0)


_ANOMALY = msgspec.json.Decoder(_Anomaly)
_ALERT = msgspec.json.Decoder(_Alert)
_COMMAND = msgspec.json.Decoder(_Command)
_OUTCOME = msgspec.json.Decoder(_Outcome)
_MODEL = msgspec.json.Decoder(_Model)
_FORECAST = msgspec.json.Decoder(_Forecast)
