"""Records of one poll to columns, by the strict decoders and the stated policies."""

from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from schemas import series_key
from streams.ingest import formats
from streams.ingest.batch import Batch, Columns, Reject
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


class Decoder:
    """Decodes the polls of one partition; `index` gets the series that are new."""

    def __init__(self, index: SeriesIndex, limits: Limits) -> None:
        self._index = index
        self._limits = limits

    def decode(self, records: Sequence[Record], now_ms: int) -> Batch:
        """Decode one poll; never raises for what a record holds.

        `now_ms` is the wall clock (Unix ms), against which times too far ahead are told.
        """
        collected = _Collected(now_ms)
        for i, record in enumerate(records):
            self._decode_one(i, record, collected)
        return collected.batch()

    def _decode_one(self, i: int, record: Record, into: "_Collected") -> None:
        data = record.value
        if not data:
            into.rejects.append(
                Reject(i, "Expected a sample, got a record without a value (tombstone or empty)")
            )
            return
        if len(data) > self._limits.max_record_bytes:
            most = f"at most {self._limits.max_record_bytes} bytes"
            into.rejects.append(Reject(i, f"Expected a record of {most}, got {len(data)}"))
            return
        try:
            parsed = formats.read(data, record.headers)
        except FormatError as error:
            into.rejects.append(Reject(i, str(error), error.fault.path))
            return
        into.dropped["not-numeric"] += parsed.not_numeric
        faults = [*parsed.faults, *self._use(i, record, parsed, into)]
        if faults:
            into.rejects.append(_reject(i, faults, parsed))

    def _use(self, i: int, record: Record, parsed: Parsed, into: "_Collected") -> list[Fault]:
        limits = self._limits
        faults = []
        for point in parsed.points:
            path, metric, labels, time, value = point
            if refused := refusal(metric, labels, limits):
                faults.append(Fault(path + refused[0], refused[1]))
                continue
            if time is None:
                time = record.timestamp
                into.stamped += 1
            if time < 0:
                faults.append(Fault(path, f"Expected a time since 1970 (Unix ms), got {time}"))
            elif time > into.now_ms + limits.max_future_ms:
                ahead = f"at most {limits.max_future_ms} ms ahead of the clock ({into.now_ms})"
                faults.append(Fault(path, f"Expected a time {ahead}, in Unix ms, got {time}"))
            elif limits.max_age_ms is not None and time < into.now_ms - limits.max_age_ms:
                into.dropped["too-old"] += 1
            elif value is None or value != value:  # noqa: PLR0124
                into.dropped["missing"] += 1
            elif value in (float("inf"), float("-inf")):
                into.dropped["infinite"] += 1
            elif (row := self._row(point, into)) < 0:
                faults.append(Fault(path, self._too_many(point, into)))
            else:
                into.add(i, row, time, value)
        return faults

    def _row(self, point: Point, into: "_Collected") -> int:
        if len(self._index) < self._limits.max_series:
            return self._index.row(point.metric, point.labels)
        return self._index.find(point.metric, point.labels)

    def _too_many(self, point: Point, into: "_Collected") -> str:
        into.widest_label = into.widest_label or widest_label(self._index)
        most = f"at most {self._limits.max_series} series in the partition"
        key = series_key(point.metric, point.labels)
        return f"Expected {most}, got one more, {key[:512]}; {into.widest_label}"


def _reject(i: int, faults: list[Fault], parsed: Parsed) -> Reject:
    named = "; ".join(f"{fault.path}: {fault.reason}" for fault in faults[:_FAULTS_NAMED])
    more = f"; and {len(faults) - _FAULTS_NAMED} more" if len(faults) > _FAULTS_NAMED else ""
    return Reject(i, named + more, faults[0].path)


class _Collected:
    """Samples and counts of one poll, while they are gathered."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.record: list[int] = []
        self.row: list[int] = []
        self.time: list[int] = []
        self.value: list[float] = []
        self.rejects: list[Reject] = []
        self.dropped: Counter[str] = Counter()
        self.stamped = 0
        self.widest_label = ""

    def add(self, record: int, row: int, time: int, value: float) -> None:
        self.record.append(record)
        self.row.append(row)
        self.time.append(time)
        self.value.append(value)

    def batch(self) -> Batch:
        columns = Columns(
            np.array(self.record, dtype=np.int32),
            np.array(self.row, dtype=np.int64),
            np.array(self.time, dtype=np.int64),
            np.array(self.value, dtype=np.float64),
        )
        dropped = {policy: count for policy, count in self.dropped.items() if count}
        return Batch(columns, self.rejects, dropped, self.stamped)
