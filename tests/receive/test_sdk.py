"""OpenTelemetry's own SDK exports to the receiver, over HTTP and gRPC, with its default aggregations."""

import asyncio
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from tests.receive.test_receiver import Start, samples, start

__all__ = ["start"]

pytestmark = pytest.mark.kafka


def export(exporter: Any) -> None:
    """Two exports of a counter, a histogram and a gauge, and one at the end with nothing new."""
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider([reader], Resource({"service.name": "checkout"}), shutdown_on_exit=False)
    meter = provider.get_meter("tests")
    requests, queue = meter.create_counter("http.requests"), meter.create_up_down_counter("queue.size")
    latency = meter.create_histogram("http.latency", explicit_bucket_boundaries_advisory=[0.1, 0.5, 1.0])
    for _ in range(2):
        requests.add(10, {"route": "/pay"})
        queue.add(3)
        for _ in range(4):
            latency.record(0.3)
        assert provider.force_flush(30_000)
    provider.shutdown()


@pytest.mark.parametrize("how", ["http", "grpc"])
async def test_what_the_sdk_exports_is_understood(start: Start, kafka: str, prefix: str, how: str) -> None:
    receiver = await start(grpc_port=0, quantiles=(0.5,))
    if how == "http":
        exporter: Any = HttpExporter(f"{receiver.url}/v1/metrics")
    else:
        exporter = GrpcExporter(f"127.0.0.1:{receiver.grpc_port}", insecure=True)
    await asyncio.to_thread(export, exporter)
    found: dict[str, list[Any]] = {}
    for sample in await samples(kafka, prefix):
        assert sample["labels"]["service.name"] == "checkout"
        found.setdefault(sample["metric"], []).append(sample)
    assert [each["value"] for each in found["queue.size"]] == [3.0, 6.0, 6.0]
    rates = found["http.requests_per_second"]
    assert {each["labels"]["route"] for each in rates} == {"/pay"}
    assert [each["value"] > 0 for each in rates] == [True, False]
    (median,) = found["http.latency"]
    assert median["value"] == pytest.approx(0.3)  # halfway from 0.1 to 0.5
    assert set(found) == {
        "queue.size", "http.requests_per_second", "http.latency",
        "http.latency_count_per_second", "http.latency_sum_per_second",
    }  # fmt: skip
