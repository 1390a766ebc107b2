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
from streams.output import Output, output
from streams.partition import Recall
from streams.record import Record
from streams.scaling import TargetScaler
from streams.targets import LOAD, REPLICAS

log = logging.getLogger(__name__)

LAYOUT = 1
NOT_CARRIED_OUT = frozenset({"failed", "expired", "paused", "cooling-down", "unauthorised", "unknown"})


class TargetState(msgspec.Struct, kw_only=True):
    """Everything remembered of one target, as plain data. Times are Unix ms."""

    layout: int = LAYOUT
    target: str
    load: LoadSum
    last_time: dict[str, int] = {}  # series: newest sample used, so that a replayed signal is recognised
    scaler: bytes | None = None
    replicas: int | None = None  # desired on the platform, as far as known
    asked: str | None = None  # id of the last scale command
    watch: TargetWatch | None = None
    deployment: Deployment | None = None  # the newest one


class Target:
    """One target: sums its load, scales it, watches its releases."""

    def __init__(self, config: TargetConfig, state: TargetState | None = None) -> None:
        self.config = config
        self.state = state or TargetState(
            target=config.name, load=LoadSum(interval_ms=int(config.interval_s * 1000))
        )
        self._ttl_ms = int(config.command_ttl_s * 1000)
        self._scaler: TargetScaler | None = None
        if config.scale is not None:
            stored = self.state.scaler
            self._scaler = (
                TargetScaler.from_bytes(config.scale, stored) if stored else TargetScaler(config.scale)
            )
        if config.release is not None and self.state.watch is None:
            self.state.watch = TargetWatch(config.release)

    def dump(self) -> bytes:
        """The state, for `load`."""
        self.state.scaler = self._scaler.to_bytes() if self._scaler else None
        return msgspec.msgpack.encode(self.state)

    # -- samples ---------------------------------------------------------------------------------

    def take(self, signal: Signal, now_ms: int) -> list[Output]:
        """Use the signal's samples that are new; return forecasts, and commands that are not stale."""
        outputs = []
        newest = self.state.last_time.get(signal.series)
        for ts, value in zip(signal.times, signal.values, strict=True):
            if newest is None or ts > newest:
                newest = self.state.last_time[signal.series] = ts
                outputs += self._sample(signal, ts, value, now_ms)
        return outputs

    def _sample(self, signal: Signal, ts: int, value: float, now_ms: int) -> list[Output]:
        if signal.role == REPLICAS:
            self.state.replicas = max(0, round(value))
            return []
        if signal.role == LOAD:
            ticks = self.state.load.add(signal.series, ts, value)
            return [out for tick in ticks for out in self._scale(tick.ts, tick.load, now_ms)]
        return self._release_metric(signal, ts, value)

    def _scale(self, ts: int, load: float, now_ms: int) -> list[Output]:
        if self._scaler is None:
            return []
        forecast, decision = self._scaler.observe(ts, load, self.state.replicas)
        outputs = []
        if forecast is not None:
            outputs.append(output("forecasts", self.config.name, forecast.message(self.config.name)))
        # While catching up, a command that nobody would execute any more is not issued.
        fresh = ts + self._ttl_ms > now_ms
        if decision is not None and decision.changed and fresh:
            outputs.append(self._scale_command(ts, decision))
        return outputs

    def _scale_command(self, ts: int, decision: Decision) -> Output:
        action = Scale(replicas=decision.replicas, previous=decision.previous)
        command = self._command(ts, action, list(decision.reasons))
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

    def deployed(self, deployment: Deployment) -> None:
        """Open a watch on a release; one that is older than the newest known changes nothing."""
        watch, known = self.state.watch, self.state.deployment
        if watch is None or (known is not None and deployment.ts <= known.ts):
            return
        self.state.deployment = deployment
        watch.observe_deployment(deployment)

    def _release_metric(self, signal: Signal, ts: int, value: float) -> list[Output]:
        watch, deployment = self.state.watch, self.state.deployment
        assert watch is not None  # noqa: S101 - the role comes from its configuration
        verdict = watch.observe_value(ts, signal.arm, signal.role, value)
        if verdict is None or deployment is None:
            return []
        if verdict.verdict == "rollback":
            action: Action = Rollback(release=deployment.release, to=deployment.previous)
        elif verdict.verdict == "promote" and deployment.canary_percent is not None:
            action = Promote(release=deployment.release)
        else:
            return []  # it has all the traffic already, or a person is to decide
        part = f"{deployment.release}@{deployment.ts}"
        command = self._command(ts, action, [verdict.reason], part)
        return [output("commands", self.config.name, command)]

    # -- outcomes --------------------------------------------------------------------------------

    def settled(self, outcome: Outcome) -> None:
        """Learn what became of a command: a scale that was not carried out is not there to build on."""
        if outcome.command == self.state.asked and outcome.status in NOT_CARRIED_OUT:
            self.state.asked = None
            self.state.replicas = None


class PlanPartition:
    """The targets of one partition."""

    def __init__(self, partition: int, targets: Mapping[str, TargetConfig]) -> None:
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
        for record in records:
            try:
                message = decode(record.value or b"", Signal | Outcome | Event)  # type: ignore[arg-type]
            except SchemaError as error:
                outputs.append(output("dead-letters", record.topic, dead_letter(record, str(error))))
            else:
                outputs += self._one(message, now_ms)
        return outputs

    def _one(self, message: Signal | Outcome | Event, now_ms: int) -> list[Output]:
        name = message.series if isinstance(message, Feedback) else message.target
        if name is None or name not in self._configs:
            return []
        target = self._targets.get(name)
        if target is None:
            target = self._targets[name] = Target(self._configs[name])
        self._dirty.add(name)
        if isinstance(message, Signal):
            return target.take(message, now_ms)
        if isinstance(message, Deployment):
            target.deployed(message)
        if isinstance(message, Outcome):
            target.settled(message)
        return []

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
                    self._targets[state.target] = Target(self._configs[state.target], state)
            except (msgspec.MsgspecError, ValueError) as error:
                log.warning("the state of target %s cannot be used (%s): it learns anew", key.decode(), error)
