"""Shadow, cluster plan and cost through the real command line, on real Kafka and Redis."""

import asyncio
import os
import sys
from collections.abc import Callable

import pytest

from schemas import Cost, Outcome, decode
from streams.worker import wall_clock
from tests.integration.conftest import NewWorker
from tests.integration.harness import ROOT, Setting, payload, produce, records, sample, tidegate, until

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]

MINUTE = 60_000
MINUTES = 150

TOML = """
[cluster]
capacity = { slots = 12.0 }
interval_s = 2
forecast_age_s = 3600

[[targets]]
name = "watched"
labels = { service = "watched" }
load = "rps"
replicas = "pods"
mode = "shadow"
scale = { capacity = 10.0 }

[[targets]]
name = "planned"
labels = { service = "planned" }
load = "rps"
replicas = "pods"
mode = "cluster"
uses = { slots = 1.0 }
scale = { capacity = 10.0 }
"""


async def test_shadows_are_scored_plans_carried_out_and_costs_told(
    setting: Callable[..., Setting], worker: NewWorker
) -> None:
    config = setting(TOML)
    await worker(config).ready()
    first = wall_clock() - MINUTES * MINUTE
    batches = []
    for minute in range(MINUTES):
        ts = first + minute * MINUTE
        load = 150.0 + 5.0 * (minute % 7) + (30.0 * (minute - MINUTES + 6) if minute > MINUTES - 6 else 0.0)
        for service in ("watched", "planned"):
            told = (
                sample("pods", ts, 25, service=service),
                sample("rps", ts, load, service=service),
            )
            batches.append((service, payload(*told)))
    await produce(config.kafka, config.topic("metrics"), batches)
    optimiser = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "streams", "optimise", "-c", str(config.path), cwd=ROOT, env=dict(os.environ)
    )

    async def outcomes() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for record in await records(config.kafka, config.topic("outcomes")):
            outcome = decode(record.value or b"", Outcome)
            found.setdefault(outcome.target, set()).add(outcome.status)
        return found

    try:
        found = await until(outcomes, lambda seen: len(seen) == 2, what="outcomes of both targets")
    finally:
        if optimiser.returncode is None:
            optimiser.terminate()
        await optimiser.wait()
    assert found["watched"] == {"dry-run"}
    assert "executed" in found["planned"]

    async def costs() -> list[Cost]:
        return [decode(r.value or b"", Cost) for r in await records(config.kafka, config.topic("costs"))]

    told = await until(costs, lambda seen: len({each.target for each in seen}) == 2, what="costs of both")
    assert {each.target: each.mode for each in told} == {"watched": "shadow", "planned": "cluster"}
    code, words = await tidegate("cost", "-c", str(config.path))
    assert code == 0, words
    assert "watched in shadow mode: its own decisions would have cost" in words
