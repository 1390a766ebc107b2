"""A real Prometheus pushes to `tidegate receive`: what it stored is in Kafka, also across a dead receiver."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from aiokafka.admin import NewTopic
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

from streams.embedded import free_port, spawn
from tests.deploy.conftest import ROOT, program
from tests.integration.harness import make_topics, records, until

pytestmark = pytest.mark.kafka


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts programs; those still running at the end are ended by their own process ids."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*command: object, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with (tmp_path / f"log{len(running)}").open("wb") as log:
            if env is None:
                running.append(spawn([str(part) for part in command], log=log, cwd=tmp_path))
            else:
                words = [str(part) for part in command]
                running.append(subprocess.Popen(words, stdout=log, stderr=log, cwd=ROOT, env=env))
        return running[-1]

    yield run
    for process in running:
        process.kill()
    for process in running:
        process.wait(20)


def exporter() -> tuple[Any, int, Counter, Histogram]:
    """A real exporter with values that are known here."""
    registry = CollectorRegistry()
    jobs = Counter("jobs", "Jobs done.", registry=registry)
    latency = Histogram("latency_seconds", "Latency.", registry=registry, buckets=(0.1, 0.5, 1.0))
    server, thread = start_http_server(0, "127.0.0.1", registry)
    return (server, thread), server.server_port, jobs, latency


async def test_nothing_that_prometheus_stored_is_missing(
    kafka: str, prefix: str, tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    prometheus_program = program("prometheus")
    await make_topics(kafka, NewTopic(f"{prefix}metrics", 2, 1))
    port, prometheus = free_port(), free_port()
    config = tmp_path / "tidegate.toml"
    config.write_text(f"""
[kafka]
brokers = ["{kafka}"]
prefix = "{prefix}"

[receive]
port = {port}
counters = "both"
quantiles = [0.5]

[[receive.tenants]]
name = "shop"
token = "${{PUSH_TOKEN}}"
""")
    serving, exporter_port, jobs, latency = exporter()
    (tmp_path / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "500ms"},
                "scrape_configs": [
                    {"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{exporter_port}"]}]}
                ],
                "remote_write": [
                    {
                        "url": f"http://127.0.0.1:{port}/api/v1/write",
                        "authorization": {"credentials": "s3cret"},
                        "queue_config": {"batch_send_deadline": "200ms", "max_backoff": "500ms"},
                        "metadata_config": {"send_interval": "1s"},
                    }
                ],
            }
        )
    )

    def receiver() -> subprocess.Popen[bytes]:
        environ = os.environ | {"PUSH_TOKEN": "s3cret", "PYTHONPATH": str(ROOT)}
        return start(sys.executable, "-m", "streams", "receive", "-c", config, env=environ)

    first = receiver()
    start(
        prometheus_program,
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        f"--web.listen-address=127.0.0.1:{prometheus}",
    )

    async def work() -> None:
        while True:
            jobs.inc(5)
            latency.observe(0.3)
            await asyncio.sleep(0.05)

    async def stored(series: str) -> set[tuple[int, float]]:
        """What Prometheus has itself."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(
                    f"http://127.0.0.1:{prometheus}/api/v1/query", params={"query": f"{series}[10m]"}
                ) as response,
            ):
                found = (await response.json())["data"]["result"]
        except (aiohttp.ClientError, KeyError):
            return set()
        return {(round(float(ts) * 1000), float(value)) for each in found for ts, value in each["values"]}

    async def written(metric: str) -> list[tuple[int, float]]:
        return [
            (sample["ts"], sample["value"])
            for record in await records(kafka, f"{prefix}metrics")
            for sample in json.loads(record.value or b"")
            if sample["metric"] == metric
        ]

    working = asyncio.create_task(work())
    try:
        await until(lambda: written("jobs_total"), lambda found: len(found) >= 4, what="samples arrive")
        first.send_signal(signal.SIGKILL)
        before = await stored("jobs_total")
        # Prometheus goes on scraping while nobody takes what it sends.
        await until(lambda: stored("jobs_total"), lambda s: len(s) >= len(before) + 4, what="scrapes go on")
        receiver()
        enough = await stored("jobs_total")
        await until(
            lambda: written("latency_seconds"), lambda found: len(found) >= 3, what="quantiles of latency"
        )
        missing = await until(
            lambda: lacking(stored, written, enough),
            lambda left: not left,
            what="all that was stored arrives",
        )
        assert missing == set()
        rates = [value for _, value in await written("jobs_per_second")]
        assert rates
        assert all(value >= 0 for value in rates)
        medians = [value for _, value in await written("latency_seconds")]
        assert medians == [pytest.approx(0.3)] * len(
            medians
        )  # halfway from 0.1 to 0.5, where all observations lie
        assert "s3cret" not in "".join(log.read_text(errors="replace") for log in tmp_path.glob("log*"))
    finally:
        working.cancel()
        server, thread = serving
        await asyncio.to_thread(server.shutdown)
        server.server_close()
        thread.join()


async def lacking(stored: Any, written: Any, enough: set[tuple[int, float]]) -> set[tuple[int, float]]:
    return {each for each in enough if each not in set(await written("jobs_total"))}
