"""OTLP metrics: from an export request to samples of a draft.

A gauge and a sum that may fall are written as they come; a monotonic sum becomes a rate, whether it is told
as total or as increase; a histogram becomes rates of its count and sum, and quantiles.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from google.protobuf.json_format import Parse, ParseError
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as otlp

from streams.receive.distribution import Distribution, from_explicit, from_exponential, quantile
from streams.receive.draft import Draft
from streams.receive.errors import Unreadable
from streams.receive.tenant import NAME, Kind, Refusal, Tenant

DELTA = otlp.AGGREGATION_TEMPORALITY_DELTA
_MS = 1_000_000  # nanoseconds

__all__ = ["DELTA", "count_samples", "labels_of", "observed", "parse", "quantile", "read", "text_of"]


def parse(data: bytes, *, json: bool = False) -> ExportMetricsServiceRequest:
    """Decode a request; with `json`, from OTLP's JSON form.

    A `MetricsData` message, as collectors write to Kafka, has the same encoding.

    Raises:
        Unreadable: it is none.
    """
    try:
        if json:
            return Parse(_without_exemplars(data), ExportMetricsServiceRequest(), ignore_unknown_fields=True)
        return ExportMetricsServiceRequest.FromString(data)
    except (DecodeError, ParseError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Unreadable(f"the body is no OTLP metrics request: {error}") from error


def _without_exemplars(data: bytes) -> bytes:
    """Exemplars carry ids in hexadecimal, which the protobuf library would read as base64; none are used."""

    def pruned(node: Any) -> Any:
        if isinstance(node, dict):
            return {name: pruned(value) for name, value in node.items() if name != "exemplars"}
        return [pruned(each) for each in node] if isinstance(node, list) else node

    return msgspec.json.encode(pruned(msgspec.json.decode(data)))


def count_samples(request: ExportMetricsServiceRequest) -> int:
    """How many data points a request holds."""
    return sum(
        len(getattr(metric, str(metric.WhichOneof("data"))).data_points)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.WhichOneof("data")
    )


def read(
    request: ExportMetricsServiceRequest, resource_attributes: Sequence[str], tenant: Tenant, draft: Draft
) -> None:
    """Put what a request holds into `draft`. Of the resource, the named attributes become labels.

    Raises:
        Unreadable: a histogram's buckets make no sense.
    """
    wanted = frozenset(resource_attributes)
    for resource in request.resource_metrics:
        common = {
            pair.key: text_of(pair.value) for pair in resource.resource.attributes if pair.key in wanted
        }
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                _metric(metric, common, tenant, draft)


def _metric(metric: otlp.Metric, common: Mapping[str, str], tenant: Tenant, draft: Draft) -> None:
    try:
        _points(metric, common, tenant, draft)
    except ValueError as error:
        raise Unreadable(f"the metric {metric.name[:128]!r} cannot be read: {error}") from error


def _points(  # noqa: PLR0912 - one branch for each kind of metric
    metric: otlp.Metric, common: Mapping[str, str], tenant: Tenant, draft: Draft
) -> None:
    match metric.WhichOneof("data"):
        case "gauge":
            for point in metric.gauge.data_points:
                _number(metric.name, point, "gauge", common, tenant, draft)
        case "sum" if not metric.sum.is_monotonic:
            if metric.sum.aggregation_temporality == DELTA:
                # Its level is known to whoever adds up from the start, which a receiver cannot.
                draft.drop("delta-of-a-level", len(metric.sum.data_points))
                return
            for point in metric.sum.data_points:
                _number(metric.name, point, "gauge", common, tenant, draft)
        case "sum":
            delta = metric.sum.aggregation_temporality == DELTA
            for point in metric.sum.data_points:
                _number(metric.name, point, "counter", common, tenant, draft, delta=delta)
        case "histogram":
            delta = metric.histogram.aggregation_temporality == DELTA
            for plain in metric.histogram.data_points:
                _histogram(metric.name, plain, observed(plain), 0, common, tenant, draft, delta=delta)
        case "exponential_histogram":
            delta = metric.exponential_histogram.aggregation_temporality == DELTA
            for point_ in metric.exponential_histogram.data_points:
                buckets, scale = observed(point_), point_.scale
                _histogram(metric.name, point_, buckets, scale, common, tenant, draft, delta=delta)
        case "summary":
            for summary in metric.summary.data_points:
                _summary(metric.name, summary, common, tenant, draft)


def labels_of(metric: str, attributes: Sequence[Any], common: Mapping[str, str]) -> dict[str, str]:
    """The labels of a point, `__name__` among them; its own attributes win over the resource's."""
    return {**common, **{pair.key: text_of(pair.value) for pair in attributes}, NAME: metric}


def _name(kind: str, labels: Mapping[str, str]) -> Any:
    return (kind, tuple(sorted(labels.items())))


def _number(
    metric: str,
    point: otlp.NumberDataPoint,
    kind: Kind,
    common: Mapping[str, str],
    tenant: Tenant,
    draft: Draft,
    *,
    delta: bool = False,
) -> None:
    draft.samples += 1
    if point.flags & otlp.DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK:
        draft.drop("missing")
        return
    labels = labels_of(metric, point.attributes, common)
    name = _name(kind, labels)
    try:
        series: Any = tenant.find(name) or tenant.add(name, labels, kind)
    except Refusal as refusal:
        draft.refuse(str(refusal), 1)
        return
    value = point.as_double if point.WhichOneof("value") == "as_double" else float(point.as_int)
    ts, start = point.time_unix_nano // _MS, point.start_time_unix_nano // _MS
    if kind == "gauge":
        series.take(draft, ts, value)
    elif not delta:
        series.take(draft, ts, value, start or None)
    elif ts > start > 0:
        series.take_rate(draft, ts, value / ((ts - start) / 1000))
    else:
        draft.drop("delta-without-start")


def _histogram(
    metric: str,
    point: otlp.HistogramDataPoint | otlp.ExponentialHistogramDataPoint,
    buckets: Distribution,
    scale: int,
    common: Mapping[str, str],
    tenant: Tenant,
    draft: Draft,
    *,
    delta: bool,
) -> None:
    labels = labels_of(metric, point.attributes, common)
    name = _name("histogram", labels)
    try:
        series: Any = tenant.find(name) or tenant.add_histogram(name, labels)
    except Refusal as refusal:
        draft.refuse(str(refusal), 1)
        return
    ts, start = point.time_unix_nano // _MS, point.start_time_unix_nano // _MS
    total = point.sum if point.HasField("sum") else None
    if delta:
        series.take_increment(draft, ts, buckets, total, (ts - start) / 1000 if start else 0.0)
    else:
        series.take_total(draft, ts, buckets, total, scale, start or None)


def observed(point: otlp.HistogramDataPoint | otlp.ExponentialHistogramDataPoint) -> Distribution:
    """The buckets of a histogram's point.

    Raises:
        ValueError: they make no sense.
    """
    if isinstance(point, otlp.HistogramDataPoint):
        return from_explicit(point.explicit_bounds, point.bucket_counts or [point.count])
    sides = (
        {side.offset + i: float(count) for i, count in enumerate(side.bucket_counts)}
        for side in (point.positive, point.negative)
    )
    positive, negative = sides
    return from_exponential(point.scale, float(point.zero_count), positive, negative, point.zero_threshold)


def _summary(
    metric: str, point: otlp.SummaryDataPoint, common: Mapping[str, str], tenant: Tenant, draft: Draft
) -> None:
    labels = labels_of(metric, point.attributes, common)
    ts = point.time_unix_nano // _MS
    parts: list[tuple[dict[str, str], Kind, float]] = [
        ({**labels, NAME: f"{metric}_count"}, "counter", float(point.count)),
        ({**labels, NAME: f"{metric}_sum"}, "counter", point.sum),
        *(
            ({**labels, "quantile": f"{each.quantile:g}"}, "gauge", each.value)
            for each in point.quantile_values
        ),
    ]
    for part, kind, value in parts:
        draft.samples += 1
        name = _name(kind, part)
        try:
            (tenant.find(name) or tenant.add(name, part, kind)).take(draft, ts, value)
        except Refusal as refusal:
            draft.refuse(str(refusal), 1)


def text_of(value: Any) -> str:  # noqa: PLR0911 - one for each kind of value
    """An attribute's value as a label's: text as it is, everything else as JSON."""
    match value.WhichOneof("value"):
        case "string_value":
            return str(value.string_value)
        case "bool_value":
            return "true" if value.bool_value else "false"
        case "int_value":
            return str(value.int_value)
        case "double_value":
            return repr(value.double_value) if math.isfinite(value.double_value) else str(value.double_value)
        case "array_value":
            return msgspec.json.encode([text_of(each) for each in value.array_value.values]).decode()
        case "kvlist_value":
            pairs = {pair.key: text_of(pair.value) for pair in value.kvlist_value.values}
            return msgspec.json.encode(pairs, order="deterministic").decode()
        case "bytes_value":
            return bytes(value.bytes_value).hex()
        case _:
            return ""
