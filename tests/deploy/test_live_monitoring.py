"""A real Prometheus scrapes a console, a real Alertmanager hears of it: with the files of deploy/."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import yaml
from prometheus_client import CollectorRegistry

from streams.console import Console, Feed
from streams.embedded import free_port, spawn
from streams.series_rows import Counts
from streams.telemetry import Telemetry
from tests.console.messages import T0
from tests.deploy.conftest import DEPLOY, program, read_yaml
from tests.deploy.telling import tell_everything
from tests.deploy.test_monitoring import DASHBOARD, dashboard_queries

T = TypeVar("T")


@dataclass
class Monitored:
    """A worker's telemetry, and the two programs that watch it."""

    telemetry: Telemetry
    counts: Counts
    prometheus: str
    alertmanager: str


def moved(folder: Path, worker: int, prometheus: int, alertmanager: int) -> None:
    """Copy the configuration to `folder`: same jobs and rules, addresses of this test, no waiting times."""
    config = read_yaml(DEPLOY / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in config["scrape_configs"]:
        job.pop("dns_sd_configs", None)
        port = worker if job["job_name"] == "tidegate" else prometheus
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    rules = read_yaml(DEPLOY / "rules" / "tidegate.yml")
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    (folder / "rules").mkdir()
    (folder / "rules" / "tidegate.yml").write_text(yaml.safe_dump(rules))
    routes = read_yaml(DEPLOY / "alertmanager.yml")
    routes["route"]["group_wait"] = "0s"
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(routes))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., None]]:
    """Starts programs and ends them, by their own process ids, when the test ends."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(*command: object) -> None:
        with (tmp_path / f"log{len(processes)}").open("wb") as log:
            processes.append(spawn([str(part) for part in command], log=log, cwd=tmp_path))

    yield start
    for process in processes:
        process.terminate()
    for process in processes:
        process.wait(20)


@pytest.fixture
async def monitored(tmp_path: Path, started: Callable[..., None]) -> AsyncIterator[Monitored]:
    prometheus_program = program("prometheus")
    alertmanager_program = program("alertmanager", "prometheus-alertmanager")
    registry = CollectorRegistry()
    telemetry = Telemetry(registry, clock=lambda: T0)
    console = Console(Feed(), registry, port=0)
    await console.start()
    prometheus, alertmanager = free_port(), free_port()
    moved(tmp_path, console.port, prometheus, alertmanager)
    started(
        prometheus_program,
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{prometheus}",
    )
    started(
        alertmanager_program,
        "--config.file=alertmanager.yml",
        "--storage.path=alerts",
        "--cluster.listen-address=",
        f"--web.listen-address=127.0.0.1:{alertmanager}",
    )
    yield Monitored(telemetry, Counts(), f"http://127.0.0.1:{prometheus}", f"http://127.0.0.1:{alertmanager}")
    await console.stop()


async def until(find: Callable[[], Awaitable[T | None]], seconds: float = 60.0) -> T:
    """Ask another process until it has an answer."""
    async with asyncio.timeout(seconds):
        while True:
            try:
                found = await find()
            except aiohttp.ClientConnectionError:
                found = None
            if found:
                return found
            await asyncio.sleep(0.2)


async def ask(url: str, **parameters: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(url, params=parameters) as response:
        return await response.json()


async def test_every_panel_shows_data(monitored: Monitored) -> None:
    async def work() -> None:
        while True:
            tell_everything(monitored.telemetry, monitored.counts)
            await asyncio.sleep(0.2)

    worker = asyncio.create_task(work())
    empty: list[str] = []
    try:
        for title, query in dashboard_queries(json.loads(DASHBOARD.read_text())):
            asked = query.replace("$__rate_interval", "10s").replace("$target", ".*")

            async def answer(title: str = title, asked: str = asked) -> Any:
                variable = re.fullmatch(r"label_values\((\w+), (\w+)\)", asked)
                if variable:
                    metric, label = variable.groups()
                    url = f"{monitored.prometheus}/api/v1/label/{label}/values"
                    return (await ask(url, **{"match[]": metric}))["data"]
                result = await ask(f"{monitored.prometheus}/api/v1/query", query=asked)
                assert result["status"] == "success", f"{title}: {result}"
                return result["data"]["result"]

            try:
                await until(answer, seconds=30)
            except TimeoutError:
                empty.append(f"{title}: {asked}")
    finally:
        worker.cancel()
    assert empty == []


async def test_a_ledger_that_is_away_reaches_alertmanager_and_clears(monitored: Monitored) -> None:
    monitored.telemetry.ledger(False)

    async def told() -> Any:
        alerts = await ask(f"{monitored.alertmanager}/api/v2/alerts", active="true")
        return [alert for alert in alerts if alert["labels"]["alertname"] == "TidegateLedgerDown"]

    (alert,) = await until(told)
    assert [receiver["name"] for receiver in alert["receivers"]] == ["page"]
    assert alert["annotations"]["summary"] == "The command ledger does not answer"
    monitored.telemetry.ledger(True)

    async def cleared() -> bool:
        return not await told()

    assert await until(cleared)
