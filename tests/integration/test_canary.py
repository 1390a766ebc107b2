"""A canary on real Kafka and Redis, its worker killed between steps: each is taken once, in order."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from schemas import Command, Deployment, Promote, Rollback, SetTraffic, encode
from streams.worker import wall_clock
from tests.integration.harness import (
    Setting,
    WorkerProcess,
    caught_up,
    messages,
    payload,
    produce,
    sample,
    tidegate,
    until,
)
from tests.integration.receiver import Receiver, receiving

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

TICK_MS = 10_000
WARM = 40  # ticks before the release
MOST = 120  # ticks after which the test gives up

TOML = """
[ingest]
max_future_s = 1e9

[actuators.hook]
kind = "webhook"
params = {{ url = "{url}", timeout_s = 5.0, backoff_base_s = 0.05 }}

[[targets]]
name = "shop"
labels = {{ service = "shop" }}
actuator = "hook"
interval_s = 10
canary = {{ steps = [5, 50, 100], bake_ms = 50_000, least_steps = 3 }}

[targets.release]
only_listed = true

[[targets.release.metrics]]
name = "errors"
kind = "rate"
total = "requests"
tolerance = 0.5
margin = 1.0
"""


@dataclass
class Shop:
    """A service with a canary beside it, on topics of its own."""

    setting: Setting
    receiver: Receiver
    worker: WorkerProcess
    bad: bool
    start_ms: int = field(default_factory=lambda: wall_clock() // TICK_MS * TICK_MS + TICK_MS)
    ticks: int = 0
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(1))

    async def pass_ticks(self, count: int) -> None:
        """Tell the metrics of both arms for `count` ticks, and wait until they are used."""
        batch = []
        for _ in range(count):
            ts = self.start_ms + self.ticks * TICK_MS
            self.ticks += 1
            for arm, total, rate in (("control", 8000, 0.01), ("canary", 800, 0.1 if self.bad else 0.01)):
                cells = {"requests": total, "errors": int(self.rng.binomial(total, rate))}
                batch += [sample(name, ts, value, service="shop", arm=arm) for name, value in cells.items()]
        await produce(self.setting.kafka, self.setting.topic("metrics"), [("shop", payload(*batch))])
        await caught_up(self.setting, "metrics", "signals", "events", "commands", "outcomes")

    async def deploy(self, release: str) -> None:
        """Tell of a release that has no traffic yet."""
        ts = self.start_ms + self.ticks * TICK_MS
        event = Deployment(target="shop", release=release, ts=ts, previous="v1", canary_percent=0.0)
        await produce(self.setting.kafka, self.setting.topic("events"), [("shop", encode(event))])

    @property
    def done(self) -> list[Command]:
        """The commands that took effect, in order."""
        return list(self.receiver.effects.values())

    async def told(self) -> list[str]:
        """The audit, each change once."""
        found = {change.id: change.what for change in await messages(self.setting, "releases")}
        return list(found.values())


@asynccontextmanager
async def open_shop(kafka: str, redis_url: str, folder: Path, *, bad: bool) -> AsyncIterator[Shop]:
    async with receiving() as receiver:
        setting = Setting(
            path=folder / "tidegate.toml", kafka=kafka, redis=redis_url, prefix=f"c{os.urandom(4).hex()}-",
            checkpoint_s=0.1, toml=TOML.format(url=receiver.url),
        ).write()  # fmt: skip
        worker = WorkerProcess(setting, folder / "worker.log").start()
        try:
            await worker.ready()
            yield Shop(setting, receiver, worker, bad)
        finally:
            worker.kill()


async def test_a_good_canary_walks_its_steps_once_although_its_worker_is_killed(
    kafka: str, redis_url: str, tmp_path: Path
) -> None:
    async with open_shop(kafka, redis_url, tmp_path, bad=False) as shop:
        await shop.pass_ticks(WARM)
        await shop.deploy("v2")
        killed = 0
        while shop.ticks < MOST and not any(isinstance(each.action, Promote) for each in shop.done):
            await shop.pass_ticks(1)
            if len(shop.done) > 2 * killed:  # right after the first, and after the third command
                shop.worker.kill()
                shop.worker.start()
                killed += 1
        assert killed >= 2
        assert [command.action for command in shop.done] == [
            *(SetTraffic(release="v2", percent=percent) for percent in (5.0, 50.0, 100.0)),
            Promote(release="v2"),
        ]
        await caught_up(shop.setting, "outcomes")
        assert await shop.told() == ["deployed", *["set-traffic"] * 3, "promoted"]
        code, said = await tidegate("release", "history", "shop", "-c", str(shop.setting.path))
        assert code == 0, said
        assert "now: v2; last known good: v2" in said


async def test_a_bad_canary_is_taken_back_and_a_person_may_be_faster(
    kafka: str, redis_url: str, tmp_path: Path
) -> None:
    async with open_shop(kafka, redis_url, tmp_path, bad=True) as shop:
        await shop.pass_ticks(WARM)
        await shop.deploy("v2")
        while shop.ticks < MOST and len(shop.done) < 2:
            await shop.pass_ticks(1)
        assert [command.action for command in shop.done] == [
            SetTraffic(release="v2", percent=5.0), Rollback(release="v2", to="v1")
        ]  # fmt: skip
        assert "errors is harmful" in shop.done[-1].reasons[0]
        await shop.deploy("v3")
        shop.bad = False
        await shop.pass_ticks(1)
        path = str(shop.setting.path)
        code, said = await tidegate(
            "release", "abort", "shop", "--release", "v3", "--reason", "wrong build", "-c", path
        )
        assert code == 0, said

        async def done() -> list[Command]:
            return shop.done

        await until(done, lambda commands: len(commands) == 4, what="the order")
        assert [command.action for command in shop.done[2:]] == [
            SetTraffic(release="v3", percent=5.0), Rollback(release="v3", to="v1")
        ]  # fmt: skip
        assert "wrong build" in shop.done[-1].reasons[0]
