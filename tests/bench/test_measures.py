"""`tidegate bench` in small: every measure runs on a real Kafka and writes what it promises."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bench import latency, memory, recovery, throughput
from streams.cli import app

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SMALL = {
    "throughput": throughput.Size(
        series=200, steps=1000, repeats=1, limit_records=20_000, slow_series=4, slow_steps=50,
        batched_series=1000, batched_steps=600, growth=(), workers_steps=0, peers=("faust",),
    ),
    "latency": latency.Size(
        series=100, seconds=6.0, repeats=1, spikes=0.005, rate=20_000.0, least_anomalies=10
    ),
    "recovery": recovery.Size(series=300, steps=20, repeats=1, rate=2000.0, progress=3),
    "memory": memory.Size(series=2000, steps=100, few_steps=200),
}  # fmt: skip


@pytest.fixture
def measured(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs `tidegate bench NAME --quick --json FILE` in a small size; returns what it wrote."""
    monkeypatch.setenv("TIDEGATE_KAFKA", kafka)

    def run(name: str) -> dict[str, Any]:
        monkeypatch.setattr(f"bench.{name}.QUICK", SMALL[name])
        file = tmp_path / "figures.json"
        done = CliRunner().invoke(app, ["bench", name, "--quick", "--json", str(file)])
        assert done.exit_code == 0, done.output
        figures: dict[str, Any] = json.loads(file.read_text())
        assert figures["machine"]["cores"] > 0
        return figures

    return run


def test_throughput_beside_its_limit_and_a_peer(measured: Any) -> None:
    figures = measured("throughput")
    assert figures["records"] == 200_000
    assert figures["runs"][0]["series"] == 200
    assert figures["records_per_s"] > figures["peers"]["faust"] > 0
    assert figures["share_of_limit"] == round(figures["records_per_s"] / figures["limit_records_per_s"], 3)
    assert figures["batched"]["samples_per_s"] > 0
    assert figures["peers_missing"] == {}


def test_latency_is_that_of_anomalies(measured: Any) -> None:
    figures = measured("latency")
    took = figures["produce_to_anomaly_ms"]
    assert took["count"] >= 10
    assert 0 < took["p50"] <= took["p99"] == figures["p99_ms"]
    assert figures["kafka_alone_ms"]["p50"] > 0
    assert figures["records_per_s"] > 0


def test_recovery_goes_through_its_milestones(measured: Any) -> None:
    figures = measured("recovery")
    moments = [figures["milestones_s"][name] for name in recovery.MILESTONES]
    assert moments == sorted(moments)
    assert figures["first_scored_s"] == moments[-1] > 0
    assert figures["without_state_s"] > 0


def test_memory_holds_all_series(measured: Any) -> None:
    figures = measured("memory")
    assert figures["series"] == 2000
    assert figures["peak_bytes_per_series"] >= figures["bytes_per_series"] > figures["model_bytes_per_series"]
