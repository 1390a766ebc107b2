"""A worker: the app with its ledger, actuators, telemetry and console, from start to stop."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from actuators import Actuator, DryRun, LedgerUnavailable, RedisLedger, make_actuator
from streams import app as pipeline_app
from streams.access import client_settings, faust_credentials
from streams.alerting import AlertPartition
from streams.config import Config
from streams.config.read import BUILT_IN_ACTUATOR
from streams.console import Console, Feed
from streams.console.part import heard
from streams.detection import DetectPartition
from streams.features import Enabled, by_default, by_flags
from streams.guards import guarded
from streams.lag import unread
from streams.notes import feedback_of, write
from streams.output import Output
from streams.planning import PlanPartition
from streams.privileges import of_worker, require
from streams.rehearsal import rehearse
from streams.signatures import signer, unsigned, verifier
from streams.telemetry import Telemetry
from streams.telling import Teller
from streams.topics import ensure_topics
from streams.transport import Transport

log = logging.getLogger(__name__)

TELEMETRY_S = 1.0


def wall_clock() -> int:
    """The time now, Unix ms."""
    return time.time_ns() // 1_000_000


def open_ledger(config: Config, environ: Mapping[str, str]) -> RedisLedger:
    """The ledger that `config` names; it connects when it is first asked."""
    url = environ.get(config.ledger.url_env, config.ledger.url)
    return RedisLedger.from_url(url, namespace=config.ledger.namespace)


class WorkerError(RuntimeError):
    """The app ended by itself; the text and the cause say why."""


class Worker:
    """Runs the pipeline of `config` in this process and event loop.

    `roles` are those of `streams.app.ROLES`. `clock` returns Unix ms. `actuators` (by target) replace
    those that the configuration names. `settings` are further settings of the Faust app, `listen` is told
    each stage's outputs.
    """

    def __init__(
        self,
        config: Config,
        *,
        environ: Mapping[str, str],
        roles: Sequence[str] = pipeline_app.ROLES,
        clock: Callable[[], int] = wall_clock,
        actuators: Mapping[str, Actuator] | None = None,
        settings: Mapping[str, Any] | None = None,
        listen: Callable[[str, Sequence[Output]], None] | None = None,
    ) -> None:
        self._listen = listen
        self.config = config
        self.registry = CollectorRegistry()
        self.telemetry = Telemetry(self.registry, clock=wall_clock)
        self.feed = Feed()
        self._environ = environ
        self._kafka = client_settings(config.kafka, environ)
        self.ledger = open_ledger(config, environ)
        self._actuators = guarded(
            config,
            dict(actuators) if actuators is not None else self._configured_actuators(),
            self.ledger,
            clock,
        )
        self.console = Console(
            self.feed,
            self.registry,
            host=config.telemetry.host,
            port=config.telemetry.port,
            ready=self._unready,
            tell=self._say,
        )
        state_key = environ.get(config.state.key_env)
        self._state_key = state_key.encode() if state_key else None
        self._stop_flags: Callable[[], None] = lambda: None
        enabled: Enabled = by_default
        if config.features.from_flags and "plan" in roles:
            enabled, self._stop_flags = by_flags(config.kafka, self._kafka)
        self.pipeline = pipeline_app.build(
            config,
            clock=clock,
            ledger=self.ledger,
            actuators=self._actuators,
            state_key=self._state_key,
            sign=signer(config.signing, environ) if "plan" in roles else unsigned,
            verify=verifier(config.signing) if "act" in roles else None,
            observe=self._observe,
            saved=self.telemetry.checkpoint,
            enabled=enabled,
            roles=roles,
            settings={
                "broker_credentials": faust_credentials(config.kafka, environ),
                # By its name the group knows a worker that was killed and is back: it has its partitions at
                # once, where the group would else wait for the session of the dead one to end.
                "consumer_group_instance_id": environ.get(config.kafka.instance_env) or None,
                **dict(settings or {}),
            },
        )
        cast(Transport, self.pipeline.app.transport).release = self._release
        self._roles = roles
        self._starting: str | None = "waiting for the brokers"
        self._teller = (
            Teller(
                config.alerts, self.pipeline.alert, environ=environ, clock=wall_clock,
                told=self.telemetry.notified,
            )
            if self.pipeline.alert is not None
            else None
        )  # fmt: skip
        self._tasks: list[asyncio.Task[None]] = []

    def _configured_actuators(self) -> dict[str, Actuator]:
        made = {
            name: make_actuator(each.kind, each.params, env=self._environ, dry_run=each.dry_run)
            for name, each in self.config.actuators.items()
        }
        made.setdefault(BUILT_IN_ACTUATOR, make_actuator(BUILT_IN_ACTUATOR, {}, env=self._environ))
        return {
            target.name: DryRun(made[target.actuator]) if target.mode == "shadow" else made[target.actuator]
            for target in self.config.targets
        }

    def _observe(self, stage: str, outputs: Sequence[Output]) -> None:
        self.telemetry.outputs(stage, outputs)
        self.feed.outputs(stage, outputs)
        if self._listen is not None:
            self._listen(stage, outputs)

    async def start(self, patience_s: float | None = None) -> None:
        """Wait for the brokers, make missing topics, compile, start; return when the app runs.

        `patience_s` bounds the wait for the brokers; without it the wait has no end.

        Raises:
            AccessError: the Kafka user lacks a right.
            TopicError: a topic is not as it must be.
            KafkaError: the brokers did not answer within `patience_s`.
        """
        await self.console.start()
        await self._await_brokers(patience_s)
        self._starting = "compiling the models"
        await asyncio.to_thread(self._rehearse)
        await self.pipeline.app.start()
        self._starting = None
        self._tasks = [asyncio.create_task(self._report())]
        if self._teller is not None:
            self._teller.start()

    async def _await_brokers(self, patience_s: float | None) -> None:
        brokers = ", ".join(self.config.kafka.brokers)
        began = time.monotonic()
        while True:
            try:
                await require(self.config.kafka, self._kafka, of_worker(self.config.kafka, self._roles))
                created = await ensure_topics(self.config.kafka, self._kafka)
            except (KafkaError, OSError) as error:
                if patience_s is not None and time.monotonic() - began > patience_s:
                    raise
                log.warning("no Kafka broker answers at %s (%s); trying again", brokers, error)
                await asyncio.sleep(2.0)
            else:
                if created:
                    log.info("created topics: %s", ", ".join(created))
                return

    def _rehearse(self) -> None:
        config, roles = self.config, self._roles
        targets = {target.name: target for target in config.targets}
        rehearse(
            config.targets,
            pipeline_app.detector(config, self._state_key)(0) if "detect" in roles else None,
            PlanPartition(0, targets, self._state_key) if "plan" in roles else None,
        )

    async def _say(self, said: Mapping[str, Any]) -> str:
        """Write what somebody said of an alarm to `events`."""
        word = feedback_of({"by": "console", **said})
        await write(self.config.kafka, self._kafka, word.series, word)
        return f"told: {word.verdict} at {word.ts} on {word.series}"

    def _unready(self) -> str | None:
        """Why this worker does not take samples now; None where it does."""
        app = self.pipeline.app
        if self._starting is not None:
            return self._starting
        return "restoring state" if app.rebalancing or app.in_recovery else None

    def _reading(self) -> str:
        """What this worker reads, in words."""
        read: dict[str, list[int]] = {}
        for tp in sorted(self.pipeline.app.consumer.assignment()):
            if not tp.topic.endswith("-changelog"):
                read.setdefault(tp.topic, []).append(tp.partition)
        parts = ", ".join(f"{topic} {numbers}" for topic, numbers in read.items())
        reads = f"reads {parts}" if parts else "other workers have all partitions"
        return f"the worker is ready and {reads}; console and metrics at {self.console.url}"

    async def _release(self) -> None:
        self.report()  # what the partitions have counted goes with them
        await self.pipeline.release()

    async def _report(self) -> None:
        told: str | None = None
        while True:
            if (standing := self._unready() or self._reading()) != told:
                log.info("%s", standing)
                told = standing
            self.report()
            try:
                await self.ledger.ping()
            except LedgerUnavailable:
                self.telemetry.ledger(up=False)
            else:
                self.telemetry.ledger(up=True)
            await asyncio.sleep(TELEMETRY_S)

    def report(self) -> None:
        """Bring the telemetry up to date."""
        detect = self.pipeline.detect
        if detect is not None:
            for number, partition in detect.partitions.items():
                assert isinstance(partition, DetectPartition)  # noqa: S101
                partition.counts.moved = partition.bank.moved()
                self.telemetry.detection(number, partition.counts, len(partition))
                self.feed.heard([heard(each) for each in partition.steering.heard_of])
            self.telemetry.held(detect.partitions)
        alert = self.pipeline.alert
        if alert is not None:
            groups = [cast(AlertPartition, each) for each in alert.partitions.values()]
            active = {id_ for each in groups for id_ in each.suppression.active(wall_clock())}
            open_ = sum(case.resolved_at is None for each in groups for _, case in each.cases())
            self.telemetry.alerting(len(active), open_)
        if self._starting is None:
            self.telemetry.lag(unread(self.pipeline.app))

    async def wait(self) -> None:
        """Return when the app has been stopped.

        Raises:
            WorkerError: it ended by an error.
        """
        await self.pipeline.app.wait_until_stopped()
        reason = self.pipeline.app.crash_reason
        if reason is not None:
            raise WorkerError(f"the worker ended: {reason}") from reason

    async def stop(self) -> None:
        """Finish what is under way, write state, commit, and close everything."""
        for task in self._tasks:
            task.cancel()
        self._starting = "stopping"
        if self._teller is not None:
            await self._teller.stop()
        await self.pipeline.app.stop()
        self.report()
        for actuator in set(self._actuators.values()):
            await actuator.close()
        await asyncio.to_thread(self._stop_flags)
        await self.ledger.close()
        await self.console.stop()
