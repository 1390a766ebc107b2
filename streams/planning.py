"""The state of one partition of targets, and what its signals and events lead to: forecasts and commands."""

import logging
from collections.abc import Mapping, Sequence

import msgspec

from detectors.forecasting import Known
from planners.scaling import Decision
from schemas import (
    Command,
    Deployment,
    Event,
    Feedback,
    KnownEvent,
    MaintenanceWindow,
    Outcome,
    ReleaseOrder,
    Scale,
    SchemaError,
    Signal,
    Silence,
    decode,
)
from streams.accounting import AccountState, account, priced
from streams.config import TargetConfig
from streams.fan_out import passed_on
from streams.features import Enabled, by_default
from streams.ingest import dead_letter
from streams.matching import MatcherError
from streams.model_versions import ModelState, ModelVersions
from streams.order import EventOrder, Moment
from streams.output import Output, output
from streams.partition import Recall
from streams.record import Record
from streams.releases import Releases, ReleaseState
from streams.signatures import Sign, signed, unsigned
from streams.staffing import Staffing
from streams.target_loads import LoadsState, Made, TargetLoads
from streams.targets import LOAD, REPLICAS, scales_on, scaling_metrics

log = logging.getLogger(__name__)

LAYOUT = 3
NOT_CARRIED_OUT = frozenset({"failed", "expired", "paused", "cooling-down", "unauthorised", "unknown"})

QUIET_MS = 60_000
"""A target of which nothing was read for so long by the clock is not catching up: it is silent, and its time
is the clock's."""


class TargetState(msgspec.Struct, kw_only=True):
    """Everything remembered of one target, as plain data. Times are Unix ms."""

    layout: int = LAYOUT
    target: str
    loads: LoadsState
    order: EventOrder
    last_time: dict[str, int] = {}  # series: newest sample used, so that a replayed signal is recognised
    asked: str | None = None  # id of the last scale command
    account: AccountState = msgspec.field(default_factory=AccountState)
    staffing: Staffing = msgspec.field(default_factory=Staffing)
    releases: ReleaseState | None = None
    models: ModelState | None = None


class Target:
    """One target: sums its load, scales it, watches its releases."""

    def __init__(
        self,
        config: TargetConfig,
        state: TargetState | None = None,
        key: bytes | None = None,
        enabled: Enabled = by_default,
    ) -> None:
        self.config = config
        interval_ms = int(config.interval_s * 1000)
        self.state = state or TargetState(
            target=config.name,
            loads=LoadsState(),
            order=EventOrder(interval_ms=interval_ms),
        )
        self._heard: dict[str, int] = {}  # series: when it was last read, Unix ms
        self._ttl_ms = int(config.command_ttl_s * 1000)
        self._loads = TargetLoads(priced(config), self.state.loads, key)
        self._metrics = {role: metric for metric, role in scaling_metrics(config).items()}
        self._startup_ms = int(config.scale.startup_s * 1000) if config.scale is not None else 0
        self._releases: Releases | None = None
        if config.release is not None:
            self._releases = Releases(config, self.state.releases, enabled)
            self.state.releases = self._releases.state
        self._models: ModelVersions | None = None
        if config.contest is not None and (first := self._loads.first) is not None:
            self._models = ModelVersions(config.name, config.contest, self.state.models)
            first.champion = self._models.champion
        self._read_at: int | None = None  # when anything was last read, Unix ms

    def dump(self) -> bytes:
        """The state, for `load`."""
        self.state.loads = self._loads.dump()
        return msgspec.msgpack.encode(self.state)

    # -- samples ---------------------------------------------------------------------------------

    def take(self, signal: Signal, now_ms: int) -> None:
        """Note the signal's samples that are new."""
        newest = self.state.last_time.get(signal.series)
        for ts, value in zip(signal.times, signal.values, strict=True):
            if newest is None or ts > newest:
                newest = self.state.last_time[signal.series] = ts
                self.state.order.add(Moment(ts, signal.series, signal.role, signal.arm, value))
        self._heard[signal.series] = self._read_at = now_ms

    def tick(self, now_ms: int) -> list[Output]:
        """Let the clock's time pass where the target is silent: timeouts."""
        if self._read_at is None:
            self._read_at = now_ms
        if self._releases is None or now_ms - self._read_at < QUIET_MS:
            return []
        return self._releases.advance(now_ms, now_ms)

    def advance(self, now_ms: int) -> list[Output]:
        """Use what was noted and is due; return forecasts, and commands that are not stale."""
        outputs = []
        for due in self.state.order.take(self._heard, now_ms):
            if isinstance(due, Moment):
                outputs += self._sample(due, now_ms)
            elif self._releases is not None:
                outputs += self._releases.deployed(due, now_ms)
        return outputs

    def _sample(self, sample: Moment, now_ms: int) -> list[Output]:
        outputs: list[Output] = []
        if scales_on(sample.role):
            made = self._loads.take(sample.role, sample.series, sample.ts, sample.value)
            outputs += [out for each in made for out in self._scaled(each, now_ms)]
        if sample.role == REPLICAS:
            self.state.staffing.told = self.state.loads.replicas
            return outputs
        if self._releases is None:
            return outputs
        metric = self._metrics.get(sample.role, sample.role)
        short = self.state.staffing.short(sample.ts, self._loads.capacity, self._startup_ms)
        return outputs + self._releases.sample(sample, metric, now_ms, short=short)

    def _scaled(self, made: Made, now_ms: int) -> list[Output]:
        outputs: list[Output] = []
        ts, decision = made.ts, made.decision
        if made.role == LOAD:
            self.state.staffing.load = made.load
            outputs += self._compared(made)
        if made.forecast is not None:
            outputs.append(output("forecasts", self.config.name, made.forecast.message(self.config.name)))
        # While catching up, a command that nobody would execute any more is not issued; nor is the platform
        # taken to have what it was not asked for.
        fresh = ts + self._ttl_ms > now_ms
        if decision is None:
            return outputs
        if (
            fresh
            and self.config.mode != "cluster"
            and (decision.changed or self.state.loads.replicas is None)
        ):
            outputs += self._scale_command(ts, decision)
        return outputs + (self._accounted(made, decision) if made.role == LOAD else [])

    def _compared(self, made: Made) -> list[Output]:
        """Score the models that forecast the first load; the better one publishes from now on."""
        first = self._loads.first
        if self._models is None or first is None:
            return []
        outputs = self._models.observe(made.ts, made.load, first)
        first.champion, self.state.models = self._models.champion, self._models.state
        return outputs

    def _accounted(self, made: Made, decision: Decision) -> list[Output]:
        """What the sample does to the target's account; nothing while it is not known what is running."""
        actual, capacity = self.state.loads.replicas, self._loads.capacity
        if actual is None or capacity is None:
            return []
        return account(
            self.config,
            self.state.account,
            ts=made.ts,
            load=made.load,
            capacity=capacity,
            actual=actual,
            decided=decision.replicas,
        )

    def _scale_command(self, ts: int, decision: Decision) -> list[Output]:
        action, told = Scale(replicas=decision.replicas, previous=decision.previous), list[Output]()
        if self._releases is not None:
            allowed, told = self._releases.allowed(action, ts)
            if allowed is None:
                return told
        unsure = [] if decision.changed else ["it is not known what the platform has"]
        name = self.config.name
        command = Command(
            id=f"{name}:scale:{ts}", target=name, sequence=ts, action=action,
            reasons=[*decision.reasons, *unsure], issued_at=ts, expires_at=ts + self._ttl_ms,
        )  # fmt: skip
        if self.config.mode == "act":
            self.state.asked = command.id
            self.state.loads.replicas = decision.replicas
            self.state.staffing.ask(ts, decision.replicas, self._startup_ms)
        return [*told, output("commands", name, command)]

    # -- releases and outcomes -------------------------------------------------------------------

    def deploy(self, deployment: Deployment) -> None:
        """Note a deployment; it takes effect when the samples have reached its time."""
        if self._releases is not None:
            self.state.order.deploy(deployment)

    def expect(self, event: KnownEvent) -> None:
        """Take into account what people know of the load ahead."""
        self._loads.expect(Known(event.id, event.starts_at, event.ends_at, event.factor))

    def order(self, order: ReleaseOrder, now_ms: int) -> list[Output]:
        """Do what a person says, at once."""
        return self._releases.order(order, now_ms) if self._releases is not None else []

    def settled(self, outcome: Outcome, now_ms: int) -> list[Output]:
        """Learn what became of a command: a scale that was not carried out is not there to build on."""
        if outcome.command == self.state.asked and outcome.status in NOT_CARRIED_OUT:
            self.state.asked = None
            self.state.loads.replicas = None
        return self._releases.settled(outcome, now_ms) if self._releases is not None else []


class PlanPartition:
    """The targets of one partition.

    `key` signs the state of River models, where a target names any; `sign` signs commands, `enabled` tells
    which new features are on. Events that concern series and alerts go on to each of the `partitions` where
    these may be.
    """

    def __init__(
        self,
        partition: int,
        targets: Mapping[str, TargetConfig],
        key: bytes | None = None,
        sign: Sign = unsigned,
        partitions: int = 1,
        enabled: Enabled = by_default,
    ) -> None:
        self._key = key
        self._enabled = enabled
        self._sign = sign
        self._partitions = partitions
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
                continue
            try:
                outputs += passed_on(message, record, self._partitions)
            except (MatcherError, SchemaError) as error:
                outputs.append(output("dead-letters", record.topic, dead_letter(record, str(error))))
                continue
            outputs += self._note(message, now_ms, touched)
        for target in touched.values():
            outputs += target.advance(now_ms)
        return signed(outputs, self._sign)

    def tick(self, now_ms: int) -> list[Output]:
        """Let time pass for the targets that are silent."""
        outputs = []
        for name, target in self._targets.items():
            if out := target.tick(now_ms):
                self._dirty.add(name)
                outputs += out
        return signed(outputs, self._sign)

    def _note(
        self, message: Signal | Outcome | Event, now_ms: int, touched: dict[str, Target]
    ) -> list[Output]:
        if isinstance(message, Feedback | Silence | MaintenanceWindow) or message.target not in self._configs:
            return []
        name = message.target
        target = self._targets.get(name)
        if target is None:
            target = self._targets[name] = Target(self._configs[name], key=self._key, enabled=self._enabled)
        touched[name] = target
        self._dirty.add(name)
        match message:
            case Signal():
                target.take(message, now_ms)
            case Deployment():
                target.deploy(message)
            case KnownEvent():
                target.expect(message)
            case Outcome():
                return target.settled(message, now_ms)
            case ReleaseOrder():
                return target.order(message, now_ms)
        return []

    def changed(self) -> int:
        """How many targets changed since the last snapshot."""
        return len(self._dirty)

    @property
    def durable(self) -> None:
        """None: a snapshot has all that was processed."""

    def snapshot(self, most: int | None = None) -> list[tuple[bytes, bytes | None]]:
        """The targets that changed since the last snapshot, all of them: their inputs have many topics."""
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
                    self._targets[state.target] = Target(
                        self._configs[state.target], state, self._key, self._enabled
                    )
            except (msgspec.MsgspecError, ValueError) as error:
                log.warning("the state of target %s cannot be used (%s): it learns anew", key.decode(), error)
