"""The strict path: any record of any format, sample by sample, under the stated policies."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from schemas import series_key
from streams.ingest import formats
from streams.ingest.batch import Columns, Reject
from streams.ingest.cardinality import widest_label
from streams.ingest.labels import refusal
from streams.ingest.limits import Limits
from streams.ingest.points import Fault, FormatError, Parsed, Point
from streams.ingest.series import SeriesIndex

_FAULTS_NAMED = 3


class Record(Protocol):
    """What is read of a consumed record; aiokafka's `ConsumerRecord` has it."""

    @property
    def timestamp(self) -> int: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> formats.Headers: ...


@dataclass(slots=True)
class Found:
    """Samples and counts of one poll, while they are gathered."""

    now_ms: int
    record: list[int] = field(default_factory=list)
    row: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    value: list[float] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    stamped: int = 0
    widest_label: str = ""

    def columns(self) -> Columns:
        """The samples, in the order they were read."""
        return Columns(
            np.array(self.record, dtype=np.int32),
            np.array(self.row, dtype=np.int64),
            np.array(self.time, dtype=np.int64),
            np.array(self.value, dtype=np.float64),
        )


class StrictPath:
    """Reads single records; `index` gets the series that are new."""

    def __init__(self, index: SeriesIndex, limits: Limits) -> None:
        self._index = index
        self._limits = limits
        self._formats = formats.FormatReader()

    def read(self, i: int, record: Record, into: Found) -> bool:
        """Read record `i` of a poll; returns whether every sample of it was used."""
        data = record.value
        if not data:
            into.rejects.append(Reject(i, "Expected a sample, got no value (a tombstone, or an empty one)"))
            return False
        if len(data) > self._limits.max_record_bytes:
            most = f"at most {self._limits.max_record_bytes} bytes"
            into.rejects.append(Reject(i, f"Expected a record of {most}, got {len(data)}"))
            return False
        try:
            parsed = self._formats.read(data, record.headers)
        except FormatError as error:
            into.rejects.append(Reject(i, str(error), error.fault.path))
            return False
        before = len(into.row)
        into.dropped["not-numeric"] += parsed.not_numeric
        faults = [*parsed.faults, *self._use_all(i, record, parsed, into)]
        if faults:
            into.rejects.append(_reject(i, faults))
        return not faults and len(into.row) - before == len(parsed.points)

    def _use_all(self, i: int, record: Record, parsed: Parsed, into: Found) -> list[Fault]:
        faults = []
        for point in parsed.points:
            time = point.time
            if time is None:
                time = record.timestamp
                into.stamped += 1
            fault = self._fault(point, time, into.now_ms)
            if fault is None and not self._is_dropped(point, time, into):
                row = self._row(point)
                if row < 0:
                    fault = self._too_many(point, into)
                else:
                    into.record.append(i)
                    into.row.append(row)
                    into.time.append(time)
                    into.value.append(point.value)  # type: ignore[arg-type]  # None is dropped as missing
            if fault is not None:
                faults.append(fault)
        return faults

    def _fault(self, point: Point, time: int, now_ms: int) -> Fault | None:
        if refused := refusal(point.metric, point.labels, self._limits):
            return Fault(point.path + refused[0], refused[1])
        if time < 0:
            return Fault(point.path, f"Expected a time since 1970 (Unix ms), got {time}")
        if time > now_ms + self._limits.max_future_ms:
            ahead = f"at most {self._limits.max_future_ms} ms ahead of the clock ({now_ms})"
            return Fault(point.path, f"Expected a time {ahead}, in Unix ms, got {time}")
        return None

    def _is_dropped(self, point: Point, time: int, into: Found) -> bool:
        if self._limits.max_age_ms is not None and time < into.now_ms - self._limits.max_age_ms:
            policy = "too-old"
        elif point.value is None or math.isnan(point.value):
            policy = "missing"
        elif math.isinf(point.value):
            policy = "infinite"
        else:
            return False
        into.dropped[policy] += 1
        return True

    def _row(self, point: Point) -> int:
        if len(self._index) < self._limits.max_series:
            return self._index.row(point.metric, point.labels)
        return self._index.find(point.metric, point.labels)

    def _too_many(self, point: Point, into: Found) -> Fault:
        into.widest_label = into.widest_label or widest_label(self._index)
        most = f"at most {self._limits.max_series} series in the partition"
        key = series_key(point.metric, point.labels)
        return Fault(point.path, f"Expected {most}, got one more, {key[:512]}; {into.widest_label}")


def _reject(i: int, faults: list[Fault]) -> Reject:
    named = "; ".join(f"{fault.path}: {fault.reason}" for fault in faults[:_FAULTS_NAMED])
    more = f"; and {len(faults) - _FAULTS_NAMED} more" if len(faults) > _FAULTS_NAMED else ""
    return Reject(i, named + more, faults[0].path)
