"""OTLP metrics, JSON or protobuf, as a record of `metrics` itself. Needs the extra `receive`.

A record is read by itself, without what came before, so totals stay totals: `tidegate receive` with
`otlp_topics` makes rates and quantiles of them, and puts each series into its partition.
"""

from collections.abc import Iterator
from typing import Any

from streams.ingest.points import Fault, FormatError, Parsed, Point

_QUANTILES = (0.5, 0.95, 0.99)
_MS = 1_000_000  # nanoseconds
_RESOURCE = frozenset(
    {"service.name", "service.namespace", "service.instance.id", "deployment.environment.name"}
)


def read(data: bytes) -> Parsed:
    """Read a record as `streams.ingest.points.Reader` says.

    >>> read(b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"up","gauge":{"dataPoints":['
    ...      b'{"timeUnixNano":"5000000","asDouble":1}]}}]}]}]}').points
    [Point(path='$.up', metric='up', labels={}, time=5, value=1.0)]
    """
    json = b'"resourceMetrics"' in data or b'"resource_metrics"' in data
    # A protobuf message of resource metrics begins with a byte that is white space to JSON.
    if not json and (data[:1] != b"\n" or data.lstrip()[:1] in (b"{", b"[")):
        raise FormatError(Fault("$", "Expected `resourceMetrics`"))
    try:
        from streams.receive import otlp  # noqa: PLC0415 - comes with an extra
        from streams.receive.errors import Unreadable  # noqa: PLC0415
    except ModuleNotFoundError as error:
        words = f'Expected no OTLP: {error.name} is not installed; pip install "tidegate[receive]"'
        raise FormatError(Fault("$.resourceMetrics", words)) from error
    try:
        request = otlp.parse(data, json=json)
        points = list(_points(request, otlp))
    except (Unreadable, ValueError) as error:
        raise FormatError(Fault("$.resourceMetrics", str(error))) from error
    if not request.resource_metrics:
        raise FormatError(Fault("$.resourceMetrics", "Expected metrics, got none"))
    good = [point for point in points if point is not None]
    return Parsed(good, [], not_numeric=len(points) - len(good))


def _points(request: Any, otlp: Any) -> Iterator[Point | None]:
    """The points; None for each that means nothing by itself."""
    for resource in request.resource_metrics:
        attributes = resource.resource.attributes
        common = {each.key: otlp.text_of(each.value) for each in attributes if each.key in _RESOURCE}
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    continue
                for point in getattr(metric, kind).data_points:
                    labels = otlp.labels_of(metric.name, point.attributes, common)
                    labels.pop("__name__", None)
                    yield from _point(metric, kind, point, labels, otlp)


def _point(metric: Any, kind: str, point: Any, labels: dict[str, str], otlp: Any) -> Iterator[Point | None]:
    name, time = metric.name, point.time_unix_nano // _MS
    delta = getattr(getattr(metric, kind), "aggregation_temporality", 0) == otlp.DELTA
    seconds = (point.time_unix_nano - point.start_time_unix_nano) / 1e9 if point.start_time_unix_nano else 0.0

    def at(metric_name: str, value: float, **more: str) -> Point:
        return Point(f"$.{name}", metric_name, {**labels, **more}, time, value)

    if kind in {"gauge", "sum"}:
        value = point.as_double if point.WhichOneof("value") == "as_double" else float(point.as_int)
        if not delta:
            yield at(name, value)
        else:
            told = metric.sum.is_monotonic and seconds > 0
            yield at(f"{name}_per_second", value / seconds) if told else None
        return
    if kind == "summary":
        for each in point.quantile_values:
            yield at(name, each.value, quantile=f"{each.quantile:g}")
    elif delta:
        observed = otlp.observed(point)
        for q in _QUANTILES if observed.total > 0 else ():
            yield at(name, otlp.quantile(q, observed), quantile=f"{q:g}")
    for suffix, value in (("count", float(point.count)), ("sum", point.sum)):
        if not delta:
            yield at(f"{name}_{suffix}", value)
        else:
            yield at(f"{name}_{suffix}_per_second", value / seconds) if seconds > 0 else None
