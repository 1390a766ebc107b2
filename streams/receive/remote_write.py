"""Prometheus remote write, 1.0 and 2.0: from the bytes of a request to samples of a draft.

The fast path (`split`) takes what a Prometheus nearly always sends; the protobuf library reads all else.
What both can read means the same to both.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cramjam
from google.protobuf.message import DecodeError

from streams.receive.distribution import Distribution, from_exponential
from streams.receive.draft import Draft
from streams.receive.errors import TooLarge, Unreadable
from streams.receive.series import Series
from streams.receive.split import Split, split
from streams.receive.tenant import Kind, Refusal, Tenant
from streams.wire import remote_write_v1_pb2 as v1
from streams.wire import remote_write_v2_pb2 as v2

V1, V2 = "prometheus.WriteRequest", "io.prometheus.write.v2.Request"
_CUSTOM_BUCKETS = -53
_KINDS: dict[int, Kind] = {
    v1.MetricMetadata.COUNTER: "counter",
    v1.MetricMetadata.GAUGE: "gauge",
    v1.MetricMetadata.HISTOGRAM: "histogram",
    v1.MetricMetadata.GAUGEHISTOGRAM: "gauge",
    v1.MetricMetadata.SUMMARY: "summary",
    v1.MetricMetadata.INFO: "gauge",
    v1.MetricMetadata.STATESET: "gauge",
}


def message_of(content_type: str) -> str:
    """Which message a request carries, `V1` or `V2`, by its Content-Type.

    Raises:
        Unreadable: neither.
    """
    kind, *parameters = (part.strip() for part in content_type.split(";"))
    if kind != "application/x-protobuf":
        raise Unreadable(f"Content-Type {content_type[:128]!r}: expected application/x-protobuf")
    named = dict(part.partition("=")[::2] for part in parameters).get("proto", V1)
    if named not in {V1, V2}:
        raise Unreadable(f"Content-Type names the message {named[:128]!r}: expected {V1} or {V2}")
    return named


def decompressed(body: bytes, most: int) -> bytes:
    """The body without its Snappy compression (block format).

    Raises:
        TooLarge: it says it is larger than `most` bytes.
        Unreadable: it is not Snappy.
    """
    try:
        size = cramjam.snappy.decompress_raw_len(body)
        if size > most:
            raise TooLarge(f"the request has {size} bytes decompressed, the limit is {most}")
        return bytes(cramjam.snappy.decompress_raw(body))
    except cramjam.DecompressionError as error:
        raise Unreadable(f"the body is not Snappy in block format: {error}") from error


def count_samples(data: bytes) -> int:
    """About how many samples a request holds, before it is read: for rate limits."""
    found = split(data)
    return len(found.times) if found is not None else len(data) // 64


def read(data: bytes, message: str, tenant: Tenant, draft: Draft) -> None:
    """Put what a decompressed request holds into `draft`.

    Raises:
        Unreadable: it is not that message.
    """
    if message == V1:
        found = split(data)
        if found is not None:
            _fast(data, found, tenant, draft)
            return
    try:
        if message == V1:
            _read_v1(v1.WriteRequest.FromString(data), tenant, draft)
        else:
            _read_v2(v2.Request.FromString(data), tenant, draft)
    except DecodeError as error:
        raise Unreadable(f"the body is no {message}: {error}") from error


def _fast(data: bytes, found: Split, tenant: Tenant, draft: Draft) -> None:
    find, times, values = tenant.find, found.times, found.values
    draft.samples += len(times)
    sample = 0
    for start, end, last in zip(found.starts, found.ends, found.first[1:], strict=True):
        name = data[start:end]
        series = find(name)
        if series is None:
            try:
                labels = _labels(v1.TimeSeries.FromString(name).labels)
                series = tenant.add(name, labels)
            except DecodeError as error:
                raise Unreadable(f"the labels of a series cannot be read: {error}") from error
            except Refusal as refusal:
                draft.refuse(str(refusal), last - sample)
                sample = last
                continue
        while sample < last:
            series.take(draft, times[sample], values[sample])
            sample += 1


def _labels(pairs: Sequence[Any]) -> dict[str, str]:
    return {pair.name: pair.value for pair in pairs}


def _read_v1(request: v1.WriteRequest, tenant: Tenant, draft: Draft) -> None:
    for metadata in request.metadata:
        if metadata.type in _KINDS:
            tenant.learn(metadata.metric_family_name, _KINDS[metadata.type])
    for series in request.timeseries:
        # The name that the fast path would find it by: its labels, as they are encoded.
        name = v1.TimeSeries(labels=series.labels).SerializeToString()
        _take(name, _labels(series.labels), None, series, tenant, draft)


def _read_v2(request: v2.Request, tenant: Tenant, draft: Draft) -> None:
    symbols = request.symbols
    for series in request.timeseries:
        try:
            name = tuple([symbols[reference] for reference in series.labels_refs])
        except IndexError as error:
            raise Unreadable("a label refers to a symbol that is not in the request") from error
        if len(name) % 2:
            raise Unreadable("labels_refs has an odd number of references")
        labels = dict(zip(name[::2], name[1::2], strict=True))
        kind = _KINDS.get(series.metadata.type)
        metric = labels.get("__name__", "")
        if kind is not None:
            tenant.learn(_family(metric, kind), kind)
        _take(name, labels, None, series, tenant, draft)


def _family(metric: str, kind: Kind) -> str:
    if kind in {"histogram", "summary"}:
        for suffix in ("_bucket", "_count", "_sum"):
            if metric.endswith(suffix):
                return metric.removesuffix(suffix)
    return metric


def _take(
    name: Any, labels: Mapping[str, str], kind: Kind | None, series: Any, tenant: Tenant, draft: Draft
) -> None:
    draft.samples += len(series.samples)
    try:
        if series.samples:
            known: Series = tenant.find(name) or tenant.add(name, labels, kind)
            for sample in series.samples:
                known.take(draft, sample.timestamp, sample.value)
        if series.histograms:
            _histograms((b"h", name), labels, series.histograms, tenant, draft)
    except Refusal as refusal:
        draft.refuse(str(refusal), len(series.samples) + len(series.histograms))


def _histograms(
    name: Any, labels: Mapping[str, str], histograms: Sequence[v1.Histogram], tenant: Tenant, draft: Draft
) -> None:
    known: Any = tenant.find(name) or tenant.add_histogram(name, labels)
    for each in histograms:
        if each.reset_hint == v1.Histogram.GAUGE:
            known.take_increment(draft, each.timestamp, native(each), each.sum, 0.0)
            continue
        start = each.timestamp if each.reset_hint == v1.Histogram.YES else None
        known.take_total(draft, each.timestamp, native(each), each.sum, each.schema, start)


def native(histogram: v1.Histogram) -> Distribution:
    """The buckets of a native histogram.

    Raises:
        Unreadable: its spans and its counts do not agree.
    """
    positive = _cells(histogram.positive_spans, histogram.positive_deltas, histogram.positive_counts)
    if histogram.schema == _CUSTOM_BUCKETS:
        bounds = (*histogram.custom_values, float("inf"))
        return Distribution(bounds, tuple(positive.get(i, 0.0) for i in range(len(bounds))))
    negative = _cells(histogram.negative_spans, histogram.negative_deltas, histogram.negative_counts)
    zero = histogram.zero_count_float or float(histogram.zero_count_int)
    try:
        # Prometheus's bucket i ends where OTLP's bucket i begins.
        return from_exponential(
            histogram.schema,
            zero,
            {index - 1: count for index, count in positive.items()},
            {index - 1: count for index, count in negative.items()},
            histogram.zero_threshold,
        )
    except ValueError as error:
        raise Unreadable(f"a histogram cannot be read: {error}") from error


def _cells(
    spans: Sequence[v1.BucketSpan], deltas: Sequence[int], counts: Sequence[float]
) -> dict[int, float]:
    plain: list[float] = list(counts)
    if not plain:
        running = 0
        for delta in deltas:
            running += delta
            plain.append(float(running))
    indexes: list[int] = []
    at = 0
    for span in spans:
        at += span.offset
        if span.length > len(plain):
            raise Unreadable("a histogram's spans are longer than its counts")
        indexes += range(at, at + span.length)
        at += span.length
    if len(indexes) != len(plain):
        raise Unreadable("a histogram's spans and its counts do not agree")
    return dict(zip(indexes, plain, strict=True))
