"""The Faust app: every topic, the agent that reads it, and the state in between, on one page."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import faust
from yarl import URL

from actuators import Actuator, ExecutionPolicy, Ledger
from actuators.execute import Verify
from detectors.budget import Budget
from detectors.port import TunableBank
from detectors.registry import make_bank, with_groups
from streams import topics
from streams.acting import Hands
from streams.alerting import AlertPartition
from streams.config import Config, DetectorConfig
from streams.delivery import Delivery
from streams.detection import DetectPartition
from streams.diskless import DisklessApp
from streams.features import Enabled, by_default
from streams.ingest import Limits
from streams.output import Output
from streams.planning import PlanPartition
from streams.pools import Commons
from streams.signatures import Sign, unsigned
from streams.stage import Observe, Saved, Stage
from streams.state import block_table
from streams.targets import Roles
from streams.transport import Transport, batch_topic

ROLES = ("detect", "plan", "act")
TICK_S = 1.0  # how often time passes where nothing comes
MAX_BLOCK_BYTES = 1024 * 1024  # so that rows of large models do not make records that no broker takes


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The app and its stages; a stage is None where this worker does not have the role."""

    app: faust.App
    detect: Stage | None
    alert: Stage | None
    plan: Stage | None
    hands: Hands | None

    @property
    def stages(self) -> list[Stage]:
        """The stages with durable state."""
        return [stage for stage in (self.detect, self.alert, self.plan) if stage is not None]

    async def checkpoint(self) -> None:
        """Make everything processed so far durable."""
        for stage in self.stages:
            await stage.checkpoint()

    async def save(self) -> None:
        """Make what was processed until now durable, without haste."""
        for stage in self.stages:
            await stage.save()

    async def tick(self) -> None:
        """Let time pass where nothing comes."""
        for stage in self.stages:
            await stage.tick()

    async def release(self) -> None:
        """Make everything durable and let go of the partitions."""
        if self.hands is not None:
            await self.hands.release()
        for stage in self.stages:
            await stage.release()


def build(
    config: Config,
    *,
    clock: Callable[[], int],
    ledger: Ledger,
    actuators: Mapping[str, Actuator],
    state_key: bytes | None,
    sign: Sign = unsigned,
    verify: Verify | None = None,
    observe: Observe,
    saved: Saved,
    enabled: Enabled = by_default,
    roles: Sequence[str] = ROLES,
    settings: Mapping[str, Any] | None = None,
) -> Pipeline:
    """Bind the agents of `roles` to their topics.

    `clock` returns Unix ms, `actuators` are by target, `state_key` signs pickled River models,
    `sign` and `verify` are the planner's and the hands' sides of signed commands, `observe` sees each stage's
    outputs, `saved` what each checkpoint took, `settings` are further settings of the Faust app.
    """
    kafka = config.kafka
    app = DisklessApp(kafka.group, **(_faust_settings(config) | dict(settings or {})))
    assert isinstance(app.transport, Transport)  # noqa: S101
    named = {target.name: target for target in config.targets}

    async def send(item: Output) -> None:
        observe("act", [item])
        delivery = Delivery(app, kafka.prefix)
        await delivery.put(item)
        await delivery.settle()

    def stage(
        name: str, make: Callable[[int], Any], *sources: topics.TopicSpec, control: str | None = None
    ) -> Stage:
        table = block_table(app, f"{name}-state", kafka.partitions)
        made = Stage(
            app, name=name, table=table, make=make, prefix=kafka.prefix, clock=clock,
            observe=observe, saved=saved, source=sources[0].name, control=control,
            write_bytes_per_s=config.state.write_mib_s * 2**20,
        )  # fmt: skip
        for source in sources:
            app.agent(batch_topic(app, kafka.prefix + source.name), name=f"{name}-{source.name}")(
                cast(Any, made.run)
            )
        return made

    detect = alert = plan = hands = None
    if "detect" in roles:
        detect = stage(
            "detect", detector(config, state_key), topics.METRICS, topics.DETECT_CONTROL,
            control=topics.DETECT_CONTROL.name,
        )  # fmt: skip
        alert = stage(
            "alert",
            lambda partition: AlertPartition(partition, config.alerts),
            topics.CHANGES,
            topics.ALERT_CONTROL,
        )
    if "plan" in roles:
        plan = stage(
            "plan",
            lambda partition: PlanPartition(partition, named, state_key, sign, kafka.partitions, enabled),
            topics.SIGNALS,
            topics.EVENTS,
            topics.OUTCOMES,
        )
    if "act" in roles:
        hands = Hands(
            actuators=actuators,
            policies={
                target.name: ExecutionPolicy(cooldown_ms={"scale": int(target.cooldown_s * 1000)})
                for target in config.targets
            },
            ledger=ledger,
            clock=clock,
            send=send,
            crash=app.crash,
            verify=verify,
        )
        app.agent(batch_topic(app, kafka.prefix + topics.COMMANDS.name), name="act-commands")(
            cast(Any, hands.run)
        )

    pipeline = Pipeline(app, detect, alert, plan, hands)
    app.transport.release = pipeline.release

    app.timer(interval=config.state.checkpoint_s)(pipeline.save)
    app.timer(interval=TICK_S)(pipeline.tick)
    return pipeline


def bank_of(chosen: DetectorConfig, state_key: bytes | None) -> TunableBank:
    """The models that watch series, and groups of them where they are configured."""
    rate = chosen.alarms_per_series_day
    budget = Budget(chosen.budget_ms / 1000.0, time.thread_time)
    bank = make_bank(chosen.model, chosen.params, alarms_per_series_day=rate, key=state_key, budget=budget)
    if not chosen.group_by:
        return bank
    return with_groups(
        bank,
        chosen.group_model,
        chosen.group_params,
        alarms_per_series_day=rate,
        key=state_key,
        budget=budget,
    )


def detector(config: Config, state_key: bytes | None) -> Callable[[int], DetectPartition]:
    """What makes the empty state of a partition of `metrics`, as configured."""
    roles = Roles(config.targets)
    limits = Limits(max_future_ms=int(config.ingest.max_future_s * 1000), max_series=config.ingest.max_series)

    def make(partition: int) -> DetectPartition:
        bank = bank_of(config.detector, state_key)
        return DetectPartition(
            partition,
            bank=bank,
            alerts=config.alerts,
            roles=roles,
            limits=limits,
            block_rows=min(config.state.block_rows, max(1, MAX_BLOCK_BYTES // bank.row_bytes)),
            evict_after_ms=int(config.state.evict_after_hours * 3_600_000),
            commons=Commons(config.detector.similar_by, config.detector.group_by),
        )

    return make


def _faust_settings(config: Config) -> dict[str, Any]:
    kafka = config.kafka
    return {
        "broker": [URL(f"tidegate://{broker}") for broker in kafka.brokers],
        "broker_commit_interval": config.state.checkpoint_s,
        "broker_session_timeout": kafka.session_timeout_s,
        "broker_rebalance_timeout": kafka.rebalance_timeout_s,
        "consumer_auto_offset_reset": "earliest",
        "producer_compression_type": "zstd",  # aiokafka's lz4 takes 2 ms for a block of state, zstd 0.3 ms
        "producer_max_request_size": topics.MAX_RECORD_BYTES,
        "stream_wait_empty": True,
        "table_standby_replicas": kafka.standby_replicas,
        "topic_disable_leader": True,
        "topic_partitions": kafka.partitions,
        "topic_replication_factor": kafka.replication,
        "web_enabled": False,
    }
