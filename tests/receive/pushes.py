"""What producers push, built by the protobuf library."""

from collections.abc import Iterable, Mapping

import cramjam
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp

from streams.wire import remote_write_v1_pb2 as v1
from streams.wire import remote_write_v2_pb2 as v2

V1_TYPE = "application/x-protobuf"
V2_TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
MS = 1_000_000

Sample = tuple[Mapping[str, str], float, int]
"""Labels, value, Unix ms."""


def compressed(message: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(message))


def v1_request(samples: Iterable[Sample]) -> v1.WriteRequest:
    request = v1.WriteRequest()
    for labels, value, ts in samples:
        series = request.timeseries.add()
        for name in sorted(labels):
            series.labels.add(name=name, value=labels[name])
        series.samples.add(value=value, timestamp=ts)
    return request


def v1_body(samples: Iterable[Sample]) -> bytes:
    return compressed(v1_request(samples).SerializeToString())


def v2_request(samples: Iterable[Sample], kind: int = 0) -> v2.Request:
    request = v2.Request(symbols=[""])
    symbols = {"": 0}

    def reference(text: str) -> int:
        if text not in symbols:
            symbols[text] = len(symbols)
            request.symbols.append(text)
        return symbols[text]

    for labels, value, ts in samples:
        series = request.timeseries.add()
        for name in sorted(labels):
            series.labels_refs.extend((reference(name), reference(labels[name])))
        series.samples.add(value=value, timestamp=ts)
        series.metadata.type = kind  # type: ignore[assignment]
    return request


def v2_body(samples: Iterable[Sample], kind: int = 0) -> bytes:
    return compressed(v2_request(samples, kind).SerializeToString())


def otlp_request(*metrics: otlp.Metric, service: str = "checkout") -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = service
    resource.resource.attributes.add(key="host.id").value.string_value = "not wanted"
    resource.scope_metrics.add().metrics.extend(metrics)
    return request


def otlp_sum(
    name: str, points: Iterable[tuple[int, int, float]], *, delta: bool = False, monotonic: bool = True
) -> otlp.Metric:
    """`points` are (start, time, value), times in Unix ms."""
    metric = otlp.Metric(name=name)
    metric.sum.is_monotonic = monotonic
    metric.sum.aggregation_temporality = (
        otlp.AGGREGATION_TEMPORALITY_DELTA if delta else otlp.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    for start, ts, value in points:
        metric.sum.data_points.add(start_time_unix_nano=start * MS, time_unix_nano=ts * MS, as_double=value)
    return metric


def otlp_gauge(name: str, ts: int, value: int) -> otlp.Metric:
    metric = otlp.Metric(name=name)
    metric.gauge.data_points.add(time_unix_nano=ts * MS, as_int=value)
    return metric


def otlp_histogram(
    name: str,
    bounds: list[float],
    points: Iterable[tuple[int, int, list[int], float]],
    *,
    delta: bool = False,
) -> otlp.Metric:
    """`points` are (start, time, counts, sum)."""
    metric = otlp.Metric(name=name)
    metric.histogram.aggregation_temporality = (
        otlp.AGGREGATION_TEMPORALITY_DELTA if delta else otlp.AGGREGATION_TEMPORALITY_CUMULATIVE
    )
    for start, ts, counts, total in points:
        metric.histogram.data_points.add(
            start_time_unix_nano=start * MS,
            time_unix_nano=ts * MS,
            explicit_bounds=bounds,
            bucket_counts=counts,
            count=sum(counts),
            sum=total,
        )
    return metric
