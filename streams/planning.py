"""The state of one partition of targets, and what its signals and events lead to: forecasts and commands."""

import logging
from collections.abc import Mapping, Sequence

import msgspec

from planners.releases import TargetWatch
from planners.scaling import Decision
from schemas import (
    Action,
    Command,
    Deployment,
    Event,
    Feedback,
    Outcome,
    Promote,
    Rollback,
    Scale,
    SchemaError,
    Signal,
    decode,
)
from streams.config import TargetConfig
from streams.ingest import dead_letter
from streams.load import LoadSum
from streams.order import EventOrder, Moment
from streams.output import Output, output
from streams.partition import Recall
from streams.record import Record
from streams.scaling import TargetScaler
from streams.targets import LOAD, REPLICAS

log = logging.getLogger(__name__)

LAYOUT = 1
NOT_CARRIED_OUT = frozenset({"failed", "expired", "paused", "cooling-down", "unauthorised", "unknown"})

LATE_DEPLOYMENT_MS = 1_800_000
"""A deployment that is told within this time after the first samples of its release is judged by them."""


class TargetState(msgspec.Struct, kw_only=True):
    """Everything remembered of one target, as plain data. Times are Unix ms."""

    layout: int = LAYOUT
    target: str
    load: LoadSum
    order: EventOrder
    last_time: dict[str, int] = {}  # series: newest sample used, so that a replayed signal is recognised
    scaler: bytes | None = None
    replicas: int | None = None  # desired on the platform, as far as known
    asked: str | None = None  # id of the last scale command
    watch: TargetWatch | None = None
    recent: list[Moment] = []  # samples that the watch gets once no late deployment can concern them
    deployment: Deployment | None = None  # the newest one


class Target:
    """One target: sums its load, scales it, watches its releases."""

    def __init__(
        self, config: TargetConfig, state: TargetState | None = None, key: bytes | None = None
    ) -> None:
        self.config = config
        self._key = key
        interval_ms = int(config.interval_s * 1000)
        self.state = state or TargetState(
            target=config.name,
            load=LoadSum(interval_ms=interval_ms),
            order=EventOrder(interval_ms=interval_ms),
        )
        self._heard: dict[str, int] = {}  # series: when it was last read, Unix ms
        self._ttl_ms = int(config.command_ttl_s * 1000)
        self._scaler: TargetScaler | None = None
        if config.scale is not None:
            stored = self.state.scaler
            self._scaler = (
                TargetScaler.from_bytes(config.scale, stored, key) if stored else TargetScaler(config.scale)
            )
        if config.release is not None and self.state.watch is None:
            self.state.watch = TargetWatch(config.release)

    def dump(self) -> bytes:
        """The state, for `load`."""
        self.state.scaler = self._scaler.to_bytes(self._key) if self._scaler else None
        return msgspec.msgpack.encode(self.state)

    # -- samples ---------------------------------------------------------------------------------

    def take(self, signal: Signal, now_ms: int) -> None:
        """Note the signal's samples that are new."""
        newest = self.state.last_time.get(signal.series)
        for ts, value in zip(signal.times, signal.values, strict=True):
            if newest is None or ts > newest:
                newest = self.state.last_time[signal.series] = ts
                self.state.order.add(Moment(ts, signal.series, signal.role, signal.arm, value))
        self._heard[signal.series] = now_ms

    def advance(self, now_ms: int) -> list[Output]:
        """Use what was noted and is due; return forecasts, and commands that are not stale."""
        outputs = []
        for due in self.state.order.take(self._heard, now_ms):
            outputs += self._deployed(due) if isinstance(due, Deployment) else self._sample(due, now_ms)
        return outputs

    def _sample(self, sample: Moment, now_ms: int) -> list[Output]:
        if sample.role == REPLICAS:
            self.state.replicas = max(0, round(sample.value))
            return []
        if sample.role == LOAD:
            ticks = self.state.load.add(sample.series, sample.ts, sample.value)
            return [out for tick in ticks for out in self._scale(tick.ts, tick.load, now_ms)]
        return self._release_metric(sample)

    def _scale(self, ts: int, load: float, now_ms: int) -> list[Output]:
        if self._scaler is None:
            return []
        forecast, decision = self._scaler.observe(ts, load, self.state.replicas)
        outputs = []
        if forecast is not None:
            outputs.append(output("forecasts", self.config.name, forecast.message(self.config.name)))
        # While catching up, a command that nobody would execute any more is not issued; nor is the platform
        # taken to have what it was not asked for.
        fresh = ts + self._ttl_ms > now_ms
        wanted = decision is not None and (decision.changed or self.state.replicas is None)
        if decision is not None and wanted and fresh:
            outputs.append(self._scale_command(ts, decision))
        return outputs

    def _scale_command(self, ts: int, decision: Decision) -> Output:
        action = Scale(replicas=decision.replicas, previous=decision.previous)
        unsure = [] if decision.changed else ["it is not known what the platform has"]
        command = self._command(ts, action, [*decision.reasons, *unsure])
        self.state.asked = command.id
        self.state.replicas = decision.replicas
        return output("commands", self.config.name, command)

    def _command(self, ts: int, action: Action, reasons: list[str], part: str = "") -> Command:
        name = self.config.name
        command = Command(
            id="", target=name, sequence=ts, action=action, reasons=reasons, issued_at=ts,
            expires_at=ts + self._ttl_ms,
        )  # fmt: skip
        return msgspec.structs.replace(command, id=f"{name}:{command.kind}:{part or ts}")

    # -- releases --------------------------------------------------------------------------------

    def deploy(self, deployment: Deployment) -> None:
        """Note a deployment; it takes effect when the samples have reached its time."""
        known = self.state.deployment
        if self.state.watch is not None and (known is None or deployment.ts > known.ts):
            self.state.order.deploy(deployment)

    def _deployed(self, deployment: Deployment) -> list[Output]:
        """Open a watch on a release, and show it what has come since; an older one changes nothing."""
        watch, known = self.state.watch, self.state.deployment
        if watch is None or (known is not None and deployment.ts <= known.ts):
            return []
        recent, self.state.recent = self.state.recent, []
        for sample in recent:
            if sample.ts < deployment.ts:
                watch.observe_value(sample.ts, sample.arm, sample.role, sample.value)
        self.state.deployment = deployment
        watch.observe_deployment(deployment)
        return [out for s in recent if s.ts >= deployment.ts for out in self._release_metric(s)]

    def _release_metric(self, sample: Moment) -> list[Output]:
        watch = self.state.watch
        assert watch is not None  # noqa: S101 - the role comes from its configuration
        if watch.judge is not None and watch.judge.verdict is None:
            return self._judge(watch, sample)
        recent = self.state.recent
        recent.append(sample)
        while recent and recent[0].ts < sample.ts - LATE_DEPLOYMENT_MS:
            old = recent.pop(0)
            watch.observe_value(old.ts, old.arm, old.role, old.value)
        return []

    def _judge(self, watch: TargetWatch, sample: Moment) -> list[Output]:
        verdict, deployment = (
            watch.observe_value(sample.ts, sample.arm, sample.role, sample.value),
            self.state.deployment,
        )
        if verdict is None or deployment is None:
            return []
        if verdict.verdict == "rollback":
            action: Action = Rollback(release=deployment.release, to=deployment.previous)
        elif verdict.verdict == "promote" and deployment.canary_percent is not None:
            action = Promote(release=deployment.release)
        else:
            return []  # it has all the traffic already, or a person is to decide
        part = f"{deployment.release}@{deployment.ts}"
        command = self._command(sample.ts, action, [verdict.reason], part)
        return [output("commands", self.config.name, command)]

    # -- outcomes --------------------------------------------------------------------------------

    def settled(self, outcome: Outcome) -> None:
        """Learn what became of a command: a scale that was not carried out is not there to build on."""
        if outcome.command == self.state.asked and outcome.status in NOT_CARRIED_OUT:
            self.state.asked = None
            self.state.replicas = None


class PlanPartition:
    """The targets of one partition. `key` signs the state of River models, where a target names any."""

    def __init__(self, partition: int, targets: Mapping[str, TargetConfig], key: bytes | None = None) -> None:
        self._key = key
        self.partition = partition
        self._configs = targets
        self._targets: dict[str, Target] = {}
        self._dirty: set[str] = set()

    @property
    def targets(self) -> Mapping[str, Target]:
        """The targets met so far, by name."""
        return self._targets

    def process(self, records: Sequence[Record], now_ms: int) -> list[Output]:
        """Use records of `signals`, `events` or `outcomes`, told apart by their schema."""
        outputs = []
        touched: dict[str, Target] = {}
        for record in records:
            try:
                message = decode(record.value or b"", Signal | Outcome | Event)  # type: ignore[arg-type]
            except SchemaError as error:
                outputs.append(output("dead-letters", record.topic, dead_letter(record, str(error))))
            else:
                self._note(message, now_ms, touched)
        for target in touched.values():
            outputs += target.advance(now_ms)
        return outputs

    def _note(self, message: Signal | Outcome | Event, now_ms: int, touched: dict[str, Target]) -> None:
        name = message.series if isinstance(message, Feedback) else message.target
        if name is None or name not in self._configs:
            return
        target = self._targets.get(name)
        if target is None:
            target = self._targets[name] = Target(self._configs[name], key=self._key)
        touched[name] = target
        self._dirty.add(name)
        if isinstance(message, Signal):
            target.take(message, now_ms)
        if isinstance(message, Deployment):
            target.deploy(message)
        if isinstance(message, Outcome):
            target.settled(message)

    def snapshot(self) -> list[tuple[bytes, bytes | None]]:
        """The targets that changed since the last snapshot."""
        changed = sorted(self._dirty)
        self._dirty.clear()
        return [(name.encode(), self._targets[name].dump()) for name in changed]

    def restore(self, blocks: Mapping[bytes, bytes], recall: Recall) -> None:
        """Take over targets; those that are no longer configured are left out."""
        for key, data in blocks.items():
            try:
                state = msgspec.msgpack.decode(data, type=TargetState)
                if state.layout != LAYOUT:
                    raise msgspec.ValidationError(f"layout {state.layout}, expected {LAYOUT}")
                if state.target in self._configs:
                    self._targets[state.target] = Target(self._configs[state.target], state, self._key)
            except (msgspec.MsgspecError, ValueError) as error:
                log.warning("the state of target %s cannot be used (%s): it learns anew", key.decode(), error)
