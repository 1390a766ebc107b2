"""Samples per second of `tidegate receive` on a real Apache Kafka, and what one costs the receiver's CPU.

`python -m bench.receive [SERIES]`. Requests are built before the clock runs: 2000 one-sample series each, ten
labels a series, half of them counters; four shards push at once, each when the last one is answered.
"""

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import psutil

from streams.config import KafkaConfig
from streams.embedded import free_port
from streams.topics import ensure_topics
from tests.kafka.broker import running
from tests.receive.pushes import V1_TYPE, v1_body

SHARDS = 4
PER_REQUEST = 2_000
ROUNDS = 12
LABELS = ("cluster", "namespace", "pod", "container", "instance", "job", "region", "version", "path")


def requests(series: int, round_: int) -> list[bytes]:
    """The requests that carry one sample of each series."""
    ts = 1_700_000_000_000 + 15_000 * round_
    rows = [
        (
            {name: f"{name}-{number % (7 * place + 3)}" for place, name in enumerate(LABELS)}
            | {"__name__": "http_requests_total" if number % 2 else "memory_bytes", "id": f"{number:08d}"},
            float(number + 17 * round_),
            ts,
        )
        for number in range(series)
    ]
    return [v1_body(rows[first : first + PER_REQUEST]) for first in range(0, series, PER_REQUEST)]


async def push(url: str, bodies: list[list[bytes]]) -> float:
    """Push all; return the seconds it took."""
    async with aiohttp.ClientSession() as session:

        async def shard(number: int) -> None:
            for bodies_of_round in bodies:
                for body in bodies_of_round[number::SHARDS]:
                    async with session.post(url, data=body, headers={"Content-Type": V1_TYPE}) as response:
                        assert response.status == 204, await response.text()

        began = time.perf_counter()
        await asyncio.gather(*(shard(number) for number in range(SHARDS)))
        return time.perf_counter() - began


async def serving(url: str) -> None:
    """Return when the receiver answers."""
    async with asyncio.timeout(60), aiohttp.ClientSession() as session:
        while True:
            try:
                async with session.get(f"{url}/healthz"):
                    return
            except aiohttp.ClientError:
                await asyncio.sleep(0.1)


def measure(series: int) -> dict[str, Any]:
    """Figures of one receiver in a process of its own."""
    with running() as address, TemporaryDirectory() as folder:
        kafka = KafkaConfig(brokers=(address,), prefix=f"receive-{os.urandom(3).hex()}-")
        asyncio.run(ensure_topics(kafka, {"bootstrap_servers": address}))
        port = free_port()
        config = Path(folder) / "tidegate.toml"
        config.write_text(
            f'[kafka]\nbrokers = ["{address}"]\nprefix = "{kafka.prefix}"\n[receive]\nport = {port}\n'
        )
        command = [sys.executable, "-m", "streams", "receive", "-c", str(config)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as receiver:
            try:
                url = f"http://127.0.0.1:{port}"
                asyncio.run(serving(url))
                asyncio.run(push(f"{url}/api/v1/write", [requests(series, 0)]))  # meets each series
                rates, costs = [], []
                for first in range(1, ROUNDS, 3):
                    bodies = [requests(series, round_) for round_ in range(first, first + 3)]
                    process = psutil.Process(receiver.pid)
                    before = sum(process.cpu_times()[:2])
                    seconds = asyncio.run(push(f"{url}/api/v1/write", bodies))
                    spent = sum(process.cpu_times()[:2]) - before
                    rates.append(3 * series / seconds)
                    costs.append(3 * series / spent)
                rss = process.memory_info().rss / 2**20
            finally:
                receiver.terminate()
    return {
        "series": series,
        "samples_per_request": PER_REQUEST,
        "samples_per_s": round(statistics.median(rates)),
        "samples_per_cpu_second": round(statistics.median(costs)),
        "runs": [round(rate) for rate in rates],
        "rss_mib": round(rss),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()},
    }


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000), indent=2))
