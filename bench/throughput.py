"""Throughput of one worker on a real Apache Kafka, beside aiokafka's getmany and msgspec alone.

`tidegate bench throughput [--json FILE]`, or `python -m bench.throughput`. The worker scores every sample
with the default detector, writes anomalies, and makes its state durable in the changelog.
"""

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.limit import limit, produce
from streams.config import KafkaConfig
from streams.topics import ensure_topics
from tests.kafka.broker import running

REPEATS = 3


def measure(records: int, series: int) -> dict[str, Any]:
    """Figures of `records` one-sample records of `series` series in four partitions; medians of runs."""
    with running() as address:
        prefix = f"throughput-{os.urandom(3).hex()}-"
        kafka = KafkaConfig(brokers=(address,), prefix=prefix)
        asyncio.run(ensure_topics(kafka, {"bootstrap_servers": address}))
        topic = f"{prefix}metrics"
        asyncio.run(produce(address, topic, records, series))
        limits, runs = [], []
        for number in range(REPEATS):  # by turns, so that both see the same machine
            limits.append(asyncio.run(limit(address, topic, records)).per_s)
            runs.append(_run(address, prefix, f"{prefix}{number}", records))
    ours, alone = statistics.median(r["records_per_s"] for r in runs), statistics.median(limits)
    return {
        "records": records,
        "series": series,
        "records_per_s": round(ours),
        "limit_records_per_s": round(alone),
        "share_of_limit": round(ours / alone, 3),
        "runs": [round(run["records_per_s"]) for run in runs],
        "limits": [round(rate) for rate in limits],
        "rss_mib": round(max(run["rss_mib"] for run in runs)),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()},
    }


def _run(address: str, prefix: str, group: str, records: int) -> dict[str, Any]:
    """One worker in a process of its own, from the beginning of the topic to its end."""
    with TemporaryDirectory() as folder:
        config = Path(folder) / "tidegate.toml"
        config.write_text(
            f'[kafka]\nbrokers = ["{address}"]\nprefix = "{prefix}"\ngroup = "{group}"\n'
            "[telemetry]\nport = 0\n"
        )
        done = subprocess.run(
            [sys.executable, "-m", "bench.engine", str(config), str(records)],
            check=True, capture_output=True, text=True,
        )  # fmt: skip
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Measure with the defaults and print."""
    print(json.dumps(measure(1_000_000, 1_000), indent=2))


if __name__ == "__main__":
    main()
