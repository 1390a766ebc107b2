"""Telegraf's JSON: one metric a record, a list, or the batch form `{"metrics": [...]}`."""

from typing import Any

import msgspec

from streams.ingest.points import Fault, FormatError, Parsed, Point, Strict
from streams.ingest.timestamps import guess_unit


class _Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fields: dict[str, Any]
    name: str
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    timestamp: int | None = None


class _Metrics(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    metrics: msgspec.Raw


_samples = Strict(_Metric)
_envelope = msgspec.json.Decoder(_Metrics)


def read(data: bytes) -> Parsed:
    """Read a record as `streams.ingest.points.Reader` says: a series per numeric field, `name_field`.

    >>> data = b'{"fields":{"idle":99.5,"state":"S"},"name":"cpu","tags":{"host":"a"},"timestamp":5}'
    >>> read(data)  # doctest: +NORMALIZE_WHITESPACE
    Parsed(points=[Point(path='$', metric='cpu_idle', labels={'host': 'a'}, time=5000, value=99.5)],
           faults=[], not_numeric=1)
    """
    points: list[Point] = []
    faults: list[Fault] = []
    not_numeric = 0
    data, at = _unwrap(data)
    for path, metric in _samples.decode(data, faults, at):
        time = None if metric.timestamp is None else guess_unit(metric.timestamp)
        for field, value in metric.fields.items():
            if isinstance(value, float | int) and not isinstance(value, bool):
                points.append(Point(path, f"{metric.name}_{field}", metric.tags, time, _to_float(value)))
            else:
                not_numeric += 1
    return Parsed(points, faults, not_numeric)


def _unwrap(data: bytes) -> tuple[bytes, str]:
    if b'"metrics"' not in data:
        return data, "$"
    try:
        inner = bytes(_envelope.decode(data).metrics)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data, "$"
    if not inner.startswith(b"["):
        raise FormatError(Fault("$.metrics", "Expected `array`"))
    return inner, "$.metrics"


def _to_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
