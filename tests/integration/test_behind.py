"""A worker that is behind: what it decides too late is not carried out, what it decides in time is."""

from pathlib import Path

import pytest

from schemas import Command, Outcome
from streams.worker import wall_clock
from tests.integration.conftest import NewWorker
from tests.integration.harness import Setting, caught_up, messages, payload, produce, sample, until
from tests.integration.receiver import receiving

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]

STEP_MS = 5_000
BEHIND_MS = 600_000
TTL_MS = 15_000

TOML = """
[actuators.hook]
kind = "webhook"
params = {{ url = "{url}" }}

[[targets]]
name = "shop"
labels = {{ service = "shop" }}
actuator = "hook"
load = "rps"
interval_s = 5
command_ttl_s = {ttl_s}
cooldown_s = 0.0
scale = {{ capacity = 10.0, planner = "reactive", max = 10000 }}
"""


def _load(ts: int, value: float) -> tuple[str, bytes]:
    return "shop", payload(sample("rps", ts, value, service="shop"))


async def test_ten_minutes_behind_only_fresh_commands_are_executed(
    kafka: str, redis_url: str, prefix: str, tmp_path: Path, worker: NewWorker
) -> None:
    """Old ones are not even issued; those that expire while no hands are there are told as expired."""
    async with receiving() as receiver:
        setting = Setting(
            path=tmp_path / "t.toml", kafka=kafka, redis=redis_url, prefix=prefix,
            toml=TOML.format(url=receiver.url, ttl_s=TTL_MS // 1000),
        ).write()  # fmt: skip
        planner = worker(setting, roles="detect,plan")
        await planner.ready()
        begun = wall_clock()
        steps = BEHIND_MS // STEP_MS
        history = [_load(begun - (steps - i) * STEP_MS, 50.0 * 1.05**i) for i in range(steps + 2)]
        await produce(kafka, setting.topic("metrics"), history)
        await caught_up(setting, "metrics", "signals", alive=[planner])
        issued: list[Command] = await messages(setting, "commands")
        assert issued, "the newest load leads to a command in time"
        assert all(command.expires_at > begun for command in issued)

        async def clock() -> int:
            return wall_clock()

        last = max(command.expires_at for command in issued)
        await until(clock, lambda now: now > last, what="all have expired")
        hands = worker(setting, roles="act")
        await caught_up(setting, "commands", alive=[hands])
        outcomes: list[Outcome] = await messages(setting, "outcomes")
        assert {outcome.command: outcome.status for outcome in outcomes} == {
            command.id: "expired" for command in issued
        }
        assert receiver.requests == {}

        now = wall_clock()
        await produce(kafka, setting.topic("metrics"), [_load(now, 90_000.0), _load(now + STEP_MS, 90_000.0)])
        told = await until(
            lambda: messages(setting, "outcomes"), lambda told: len(told) > len(outcomes), what="an outcome"
        )
        fresh = told[len(outcomes)]
        assert fresh.status == "executed"
        assert fresh.command in receiver.effects
        assert not receiver.effects.keys() & {command.id for command in issued}
