"""JSON of the Prometheus Kafka adapter (prometheus-kafka-adapter): one sample a record, or a list."""

import re

import msgspec

from schemas import SchemaError
from streams.ingest.points import Fault, Parsed, Point, Strict
from streams.ingest.timestamps import parse_rfc3339

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|Inf|NaN)", re.ASCII)


class _Sample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    value: str | float
    labels: dict[str, str]
    name: str | None = None
    timestamp: str | None = None


_samples = Strict(_Sample)


def read(data: bytes) -> Parsed:
    """Read a record as `streams.ingest.points.Reader` says; the label `__name__` is the metric's name.

    >>> read(b'{"timestamp":"1970-01-01T00:00:05Z","value":"1","name":"up","labels":{"job":"x"}}').points
    [Point(path='$', metric='up', labels={'job': 'x'}, time=5000, value=1.0)]
    """
    points: list[Point] = []
    faults: list[Fault] = []
    for path, sample in _samples.decode(data, faults):
        fault = _append(points, path, sample)
        if fault:
            faults.append(fault)
    return Parsed(points, faults)


def _append(points: list[Point], path: str, sample: _Sample) -> Fault | None:
    labels = sample.labels
    name = labels.pop("__name__", sample.name)
    if name is None:
        return Fault(f"{path}.name", "Expected `str` here or in labels.__name__, got neither")
    if sample.name is not None and sample.name != name:
        return Fault(f"{path}.name", f"Expected the name of labels.__name__, {name[:64]!r}")
    if isinstance(sample.value, str) and not _NUMBER.fullmatch(sample.value):
        return Fault(f"{path}.value", f"Expected a number, NaN, +Inf or -Inf, got {sample.value[:64]!r}")
    try:
        time = None if sample.timestamp is None else parse_rfc3339(sample.timestamp)
    except SchemaError as error:
        return Fault(f"{path}.timestamp", str(error))
    points.append(Point(path, name, labels, time, float(sample.value)))
    return None
