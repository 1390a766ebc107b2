"""Runs the demo: embedded servers, the real worker, a simulated service, from history to summary."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from actuators.simulated import ServiceConfig, ServiceSample, SimulatedService
from schemas import (
    Alert,
    Anomaly,
    Command,
    Cost,
    DeadLetter,
    Deployment,
    Forecast,
    Incident,
    Outcome,
    ReleaseChange,
    decode,
    encode,
)
from streams import topics
from streams.demo.load import generated_week, recorded
from streams.demo.report import Report, Tally, Versus
from streams.demo.rival import Rival
from streams.demo.scenario import WHOLE, Scenario
from streams.demo.service import LOAD_SERIES, MALFORMED, TARGET, Fleet, service_record, signals
from streams.demo.setup import PEAK_REPLICAS, STARTUP_S, demo_config
from streams.embedded import EmbeddedBroker, EmbeddedLedger, embedded_settings
from streams.output import Output
from streams.scaling import ScaleConfig
from streams.transport import FETCH_WAIT_MS
from streams.worker import Worker, wall_clock

HISTORY_DAYS = 7
DAY_MS = 86_400_000
CLOSING_S = 3.0  # of the given time, for the end
TICK_S = 0.05  # wall time of one live tick: a day of minutes passes in 72 s
LIVE_TICKS = 1_440
MIN_TICKS = 60  # however little time there is
SEED = 7


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` bounds the wall time (None: one day of load), `trace` replaces the generated week."""

    scenario: Scenario = WHOLE

    seconds: float | None = None
    trace: Path | None = None
    port: int = 0


@dataclass(slots=True)
class Progress:
    """What the view shows while the demo runs."""

    phase: str = "starting"
    console: str = ""
    done: int = 0
    total: int = 0
    ts: int = 0
    load: float = 0.0
    ready: int = 0
    paid: int = 0
    hpa: int = 0
    release: str = ""
    tally: Tally = field(default_factory=Tally)
    loads: list[float] = field(default_factory=list)
    capacity: list[float] = field(default_factory=list)


class Demo:
    """One run. `progress` may be read by a view while it goes on."""

    def __init__(self, options: Options, environ: Mapping[str, str]) -> None:
        self._options = options
        self._environ = environ
        self._began = time.monotonic()
        self._load = recorded(options.trace) if options.trace else generated_week(wall_clock(), SEED)
        self._capacity = float(self._load.values.max()) / PEAK_REPLICAS
        self._live_since_ms = math.inf
        self._finishing = False
        self.progress = Progress()
        start = self._live_start()
        self._now = int(self._load.times[start])
        self._history = slice(self._history_start(start), start)
        self._live = range(start, min(start + self._live_ticks(), len(self._load.times)))
        self._fleet = Fleet(SEED)
        first = max(1, math.ceil(float(self._load.values[start]) / self._capacity / 0.7))
        self._service = self._make_service(first)
        policy = ScaleConfig(startup_s=STARTUP_S, max=2 * PEAK_REPLICAS).policy(self._capacity)
        self._signals = signals(options.scenario.canary)
        self._rival = Rival(self._make_service(first), policy, first)
        self._moved = asyncio.Event()  # some stage of the worker has taken a batch
        self._issued: set[str] = set()
        self._settled: set[str] = set()

    # -- plan of the run -------------------------------------------------------------------------

    def _live_start(self) -> int:
        if self._options.trace is None:
            return len(self._load.times) - LIVE_TICKS
        week = int(np.searchsorted(self._load.times, self._load.times[0] + HISTORY_DAYS * DAY_MS))
        return min(week, int(0.75 * len(self._load.times)))

    def _history_start(self, start: int) -> int:
        return int(np.searchsorted(self._load.times, self._load.times[start] - HISTORY_DAYS * DAY_MS))

    def _live_ticks(self) -> int:
        if self._options.seconds is None:
            return LIVE_TICKS
        return max(10, int(self._options.seconds / TICK_S))

    def _make_service(self, replicas: int) -> SimulatedService:
        config = ServiceConfig(capacity=self._capacity, startup_s=STARTUP_S, replicas=replicas)
        return SimulatedService(TARGET, config, rng=np.random.default_rng(SEED))

    def finish(self) -> None:
        """End the live part now; `run` returns its report soon after."""
        self._finishing = True

    # -- the run ---------------------------------------------------------------------------------

    async def run(self) -> Report:
        """Run to the end, or until `finish`; the report tells what happened until then."""
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(EmbeddedBroker())
            ledger = await stack.enter_async_context(EmbeddedLedger())
            worker = Worker(
                demo_config(
                    broker.address,
                    ledger.url,
                    capacity=self._capacity,
                    port=self._options.port,
                    scenario=self._options.scenario,
                    step_ms=self._load.step_ms,
                ),
                environ=self._environ,
                clock=lambda: self._now,
                actuators={TARGET: self._service},
                settings=embedded_settings(),
                listen=self._overhear,
            )
            await worker.start(patience_s=20)
            stack.push_async_callback(worker.stop)
            self.progress.console = worker.console.url
            producer = AIOKafkaProducer(bootstrap_servers=broker.address, compression_type="lz4", linger_ms=2)
            await producer.start()
            stack.push_async_callback(producer.stop)
            consumer = AIOKafkaConsumer(
                *(topic.name for topic in topics.TOPICS if topic.name in _KINDS),
                bootstrap_servers=broker.address,
                auto_offset_reset="earliest",
                fetch_max_wait_ms=FETCH_WAIT_MS,
            )
            await consumer.start()
            stack.push_async_callback(consumer.stop)
            listening = asyncio.create_task(self._listen(consumer))
            stack.callback(listening.cancel)
            await self._past(producer, worker)
            await self._present(producer, worker)
            await self._settle()
            await asyncio.sleep(0.5)  # the last messages reach the consumer
            return self._report(worker)

    async def _listen(self, consumer: AIOKafkaConsumer) -> None:
        async for record in consumer:
            kind = _KINDS[record.topic]
            self.progress.tally.see(decode(record.value, kind), wall_clock(), self._live_since_ms)

    async def _past(self, producer: AIOKafkaProducer, worker: Worker) -> None:
        """Give the models the history that a running system would have pushed already."""
        self.progress.phase = "learning the past week"
        static = self._make_service(math.ceil(PEAK_REPLICAS * 1.1))
        times, values = self._load.times[self._history], self._load.values[self._history]
        self.progress.total = len(times)
        for ts, load in zip(times.tolist(), values.tolist(), strict=True):
            sample = static.tick(ts, load)
            await self._push(producer, self._record(sample), self._fleet.record(ts))
        await producer.flush()
        await self._caught_up(worker, int(times[-1]) if len(times) else 0)

    async def _present(self, producer: AIOKafkaProducer, worker: Worker) -> None:
        progress = self.progress
        progress.phase, progress.done, progress.total = "live", 0, len(self._live)
        self._live_since_ms = wall_clock()
        began = time.monotonic()
        to_come = deque(
            sorted(
                [(0.2, self._pod_falls_ill), (self._options.scenario.at, self._deploy)],
                key=lambda event: event[0],
            )
        )
        for malformed in MALFORMED:
            await producer.send_and_wait(topics.METRICS.name, malformed, key=b"checkout")
        for i in self._live:
            tick_began = time.monotonic()
            share = self._share_done(began)
            if share >= 1:
                break
            ts, load = int(self._load.times[i]), float(self._load.values[i])
            self._now = ts
            while to_come and share >= to_come[0][0]:
                await to_come.popleft()[1](worker, producer, ts)
            sample = self._service.tick(ts, load)
            await self._rival.tick(ts, load, self._load.step_ms)
            worker.feed.service(TARGET, ts, load, sample.ready, sample.paid)
            await self._push(producer, self._record(sample), self._fleet.record(ts))
            await producer.flush()
            await self._caught_up(worker, ts)
            progress.done, progress.ts, progress.load = progress.done + 1, ts, load
            progress.ready, progress.paid, progress.release = sample.ready, sample.paid, sample.release
            progress.hpa = self._rival.replicas
            progress.loads.append(load)
            progress.capacity.append(sample.ready * self._capacity)
            await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - tick_began)))

    def _share_done(self, began: float) -> float:
        """How much of the live part is over: by ticks, or by time where that is bounded and passes faster."""
        by_ticks = self.progress.done / len(self._live)
        limit = self._options.seconds
        if self._finishing:
            return 1.0
        if limit is None or by_ticks >= 1:
            return by_ticks
        room = max(limit - CLOSING_S - (began - self._began), MIN_TICKS * TICK_S)
        by_time = min((time.monotonic() - began) / room, self.progress.done / MIN_TICKS)
        return max(by_ticks, by_time)

    def _record(self, sample: ServiceSample) -> bytes:
        return service_record(sample, by_arm=self._options.scenario.canary)

    async def _pod_falls_ill(self, worker: Worker, producer: AIOKafkaProducer, ts: int) -> None:
        self._fleet.fall_ill(11, ts + 20 * self._load.step_ms)

    async def _push(self, producer: AIOKafkaProducer, *records: bytes) -> None:
        for value in records:
            key = LOAD_SERIES if value is records[0] else "fleet"
            await producer.send(topics.METRICS.name, value, key=key.encode())

    async def _deploy(self, worker: Worker, producer: AIOKafkaProducer, ts: int) -> None:
        # A canary comes without traffic: its plan gives it its share.
        percent = 0.0 if self._options.scenario.canary else None
        self._service.deploy("v2", ts, bad=self._options.scenario.bad, percent=percent)
        worker.feed.release(TARGET, ts, "v2")
        event = Deployment(target=TARGET, release="v2", ts=ts, previous="v1", canary_percent=percent)
        await producer.send_and_wait(topics.EVENTS.name, encode(event), key=TARGET.encode())

    async def _caught_up(self, worker: Worker, ts: int) -> None:
        """Wait until the planner has seen the samples at `ts`: event time must not outrun the loop."""
        while _planned_until(worker, self._signals) < ts:
            await self._next_move()
        await self._settle()

    async def _settle(self) -> None:
        """Wait until every command has its outcome."""
        while self._issued - self._settled:
            await self._next_move()

    async def _next_move(self) -> None:
        await self._moved.wait()
        self._moved.clear()

    def _overhear(self, stage: str, outputs: Sequence[Output]) -> None:
        self._moved.set()
        for topic, _, value, _ in outputs:
            if topic == topics.COMMANDS.name:
                self._issued.add(decode(value, Command).id)
            elif topic == topics.OUTCOMES.name:
                self._settled.add(decode(value, Outcome).command)

    # -- the end -----------------------------------------------------------------------------------

    def _report(self, worker: Worker) -> Report:
        detect = worker.pipeline.detect
        assert detect is not None  # noqa: S101
        counts = [partition.counts for partition in detect.partitions.values()]  # type: ignore[attr-defined]
        tally, ours, rival = self.progress.tally, self._service.account(), self._rival.account()
        rollbacks = tally.rollbacks()
        return Report(
            load=self._load.name,
            live_hours=self.progress.done * self._load.step_ms / 3_600_000,
            records=sum(count.records for count in counts),
            samples=sum(count.samples for count in counts),
            dead_letters=tally.dead_letters,
            anomalies=tally.anomalies,
            alerts=tally.alerts,
            forecasts=tally.forecasts,
            commands=tally.commands_by_kind(),
            outcomes=tally.outcomes_by_kind(),
            executed_twice=sum(count > 1 for count in self._service.executions.values()),
            rollbacks_executed=len(rollbacks),
            rollback_reason=rollbacks[0].reasons[0] if rollbacks else None,
            breach_minutes=Versus(tidegate=ours.breach_minutes, hpa=rival.breach_minutes),
            incidents=Versus(tidegate=ours.incidents, hpa=rival.incidents),
            replica_hours=Versus(tidegate=round(ours.replica_hours, 3), hpa=round(rival.replica_hours, 3)),
            latency_ms=tally.latency(),
            scenario=self._options.scenario.name,
            releases=list(tally.releases.values()),
        )


def _planned_until(worker: Worker, series: Sequence[str]) -> int:
    """Event time up to which the target's signals have all been planned on; 0 before the first."""
    plan = worker.pipeline.plan
    assert plan is not None  # noqa: S101
    for partition in plan.partitions.values():
        target = partition.targets.get(TARGET)  # type: ignore[attr-defined]
        if target is not None:
            times: Mapping[str, int] = target.state.last_time
            return min(times.get(each, 0) for each in series)
    return 0


_KINDS: dict[str, Any] = {
    topics.ANOMALIES.name: Anomaly,
    topics.ALERTS.name: Alert | Incident,
    topics.FORECASTS.name: Forecast,
    topics.COMMANDS.name: Command,
    topics.OUTCOMES.name: Outcome,
    topics.RELEASES.name: ReleaseChange,
    topics.COSTS.name: Cost,
    topics.DEAD_LETTERS.name: DeadLetter,
}
