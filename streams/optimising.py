"""`tidegate optimise`: one plan for all targets in mode cluster, as commands through the same ledger."""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping

from aiokafka import AIOKafkaProducer

from planners.optimiser import Allocation, ClusterLimits, ClusterPlan, Demand, optimise
from schemas import Command, Forecast, Scale, encode
from streams.access import client_settings
from streams.accounting import priced
from streams.config import Config, TargetConfig
from streams.privileges import of_optimiser, require
from streams.serve.board import Board, open_board, watch
from streams.serve.figures import Known
from streams.signatures import Sign, signer
from streams.topics import COMMANDS

log = logging.getLogger(__name__)


def demand_of(target: TargetConfig, known: Known, capacity: float) -> Demand | None:
    """What a target needs until the next plan has taken effect, by its newest forecast; None without one.

    The quantiles are the highest over the horizons up to the start-up time and the one after it, and no
    less than the load that is there.
    """
    scale, forecast = priced(target).scale, known.forecast
    if scale is None or forecast is None:
        return None
    ends = [i for i, horizon in enumerate(forecast.horizons_ms) if horizon >= scale.startup_s * 1_000.0]
    last = ends[0] if ends else len(forecast.horizons_ms) - 1
    highest = [max(column) for column in zip(*forecast.values[: last + 1], strict=True)]
    loads = [max(value, forecast.observed, 0.0) for value in highest]
    if not all(math.isfinite(load) for load in loads):
        return None
    quantiles: list[float] = []
    for load in loads:  # quantiles that cross would claim less for being surer
        quantiles.append(max(load / capacity, quantiles[-1] if quantiles else 0.0))
    return Demand(
        target=target.name,
        levels=tuple(forecast.levels),
        quantiles=tuple(quantiles),
        price=scale.price,
        penalty=scale.penalty,
        priority=target.priority,
        least=scale.min,
        most=scale.max,
        uses=target.uses,
        current=commanded(known),
    )


def commanded(known: Known) -> int | None:
    """The count that a target was last commanded to have; None where it never was."""
    command = known.command
    return command.action.replicas if command is not None and isinstance(command.action, Scale) else None


def command_for(target: TargetConfig, allocation: Allocation, now_ms: int, previous: int) -> Command:
    """The plan's decision on one target; its id is the target and the plan's time.

    Two optimisers side by side give the same one, and the ledger carries out one of them.
    """
    return Command(
        id=f"{target.name}:scale:{now_ms}",
        target=target.name,
        sequence=now_ms,
        action=Scale(replicas=allocation.replicas, previous=previous),
        reasons=list(allocation.reasons),
        issued_at=now_ms,
        expires_at=now_ms + int(target.command_ttl_s * 1_000),
    )


class Optimiser:
    """Plans at each interval of the clock. `clock` gives Unix ms; `publish` sends a command."""

    def __init__(self, config: Config, *, environ: Mapping[str, str], clock: Callable[[], int]) -> None:
        self._config = config
        self._clock = clock
        self._targets = [each for each in config.targets if each.mode == "cluster" and each.scale is not None]
        self._board: Board = open_board(config, environ, clock)
        self._sign: Sign = signer(config.signing, environ)
        self._connection = client_settings(config.kafka, environ)
        self._producer: AIOKafkaProducer | None = None
        self._interval_ms = int(config.cluster.interval_s * 1_000)
        self._planned = -1
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the topics, then plan in the background.

        Raises:
            KafkaError: the brokers cannot be reached.
            AccessError: the Kafka user lacks a right.
        """
        await self._board.start()
        await require(self._config.kafka, self._connection, of_optimiser(self._config.kafka))
        self._producer = AIOKafkaProducer(**self._connection, acks="all")
        await self._producer.start()
        log.info("planning %d targets every %g s", len(self._targets), self._config.cluster.interval_s)
        self._task = asyncio.create_task(self._run())

    async def wait(self) -> None:
        """Return never.

        Raises:
            PortError: the topics cannot be read any more.
            SolverError, KafkaError: a plan could not be made or published.
        """
        assert self._task is not None  # noqa: S101
        reading = asyncio.create_task(watch(self._board))
        done, _ = await asyncio.wait({reading, self._task}, return_when=asyncio.FIRST_COMPLETED)
        reading.cancel()
        for each in done:
            each.result()

    async def stop(self) -> None:
        """Finish the plan that is under way and close everything."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._producer is not None:
            await self._producer.stop()
        await self._board.stop()

    async def _run(self) -> None:
        while True:
            now = self._clock()
            at = now - now % self._interval_ms
            if at > self._planned:
                self._planned = at
                await self.publish(at)
            await asyncio.sleep(max((at + self._interval_ms - self._clock()) / 1_000.0, 0.01))

    async def publish(self, at_ms: int) -> ClusterPlan:
        """Plan at `at_ms` (Unix ms), and command what is to change; only once started."""
        assert self._producer is not None  # noqa: S101
        demands = self.demands(at_ms)
        plan = await asyncio.to_thread(optimise, demands, self._limits(demands))
        named = {target.name: target for target in self._targets}
        for demand, allocation in zip(demands, plan.allocations, strict=True):
            if allocation.replicas == demand.current:
                continue
            previous = demand.current if demand.current is not None else demand.least
            command = self._sign(command_for(named[demand.target], allocation, at_ms, previous))
            topic = self._config.kafka.prefix + COMMANDS.name
            await self._producer.send(topic, encode(command), key=demand.target.encode())
        await self._producer.flush()
        return plan

    def demands(self, at_ms: int) -> list[Demand]:
        """What each target with a fresh forecast needs; one without keeps what it has."""
        found = []
        for target in self._targets:
            known = self._board.of(target.name)
            assert target.scale is not None  # noqa: S101
            capacity = target.scale.capacity
            if known is None or known.forecast is None or capacity is None:
                continue
            kept = commanded(known)
            if _fresh(known.forecast, at_ms, self._config.cluster.forecast_age_s):
                demand = demand_of(target, known, capacity)
            else:
                demand = None
            if demand is None and kept is not None:
                demand = _as_it_is(target, kept)
            if demand is not None:
                found.append(demand)
        return found

    def _limits(self, demands: list[Demand]) -> ClusterLimits:
        cluster = self._config.cluster
        return ClusterLimits(capacity=cluster.capacity, budget=cluster.budget_per_hour)


def _fresh(forecast: Forecast, at_ms: int, age_s: float) -> bool:
    return at_ms - forecast.ts <= age_s * 1_000.0


def _as_it_is(target: TargetConfig, count: int) -> Demand:
    """A target of which nothing is known now: what it has is its minimum and its maximum."""
    scale = priced(target).scale
    assert scale is not None  # noqa: S101
    return Demand(
        target=target.name, levels=(0.5,), quantiles=(float(count),), price=scale.price,
        penalty=scale.penalty, priority=target.priority, least=count, most=count, uses=target.uses,
        current=count,
    )  # fmt: skip
