"""Records of one poll to columns: the fast path for what it knows, the strict path for all else."""

from collections.abc import Sequence

import numpy as np

from streams.ingest.batch import Batch, Columns
from streams.ingest.limits import Limits
from streams.ingest.prefixes import Prefixes
from streams.ingest.record_set import RecordSet
from streams.ingest.scan import Poll, Scanner
from streams.ingest.series import SeriesIndex
from streams.ingest.strict import Found, Record, StrictPath


class Decoder:
    """Decodes the polls of one partition; `index` gets the series that are new.

    The result is that of the strict path alone, whatever the bytes; the fast path only gets there sooner.
    """

    def __init__(self, index: SeriesIndex, limits: Limits) -> None:
        self._index = index
        self._limits = limits
        self._strict = StrictPath(index, limits)
        self._prefixes = Prefixes(limits.max_prefixes)

    @property
    def nbytes(self) -> int:
        """Bytes held beside the index, spare room included."""
        return self._prefixes.nbytes

    def decode(self, records: Sequence[Record], now_ms: int) -> Batch:
        """Decode one poll; never raises for what a record holds.

        `now_ms` is the wall clock (Unix ms), against which times too far ahead are told.
        """
        found = Found(now_ms)
        scanner = Scanner(_poll(records), self._prefixes, self._limits, now_ms)
        while not scanner.done:
            rows: dict[int, list[int]] = {}
            for i in scanner.scan(self._index.generation):
                before = len(found.row)
                if self._strict.read(i, records[i], found):
                    rows[i] = found.row[before:]
            scanner.learn(rows, self._index.generation)
        return Batch(_merge(scanner.columns, found.columns()), found.rejects, +found.dropped, found.stamped)


def _poll(records: Sequence[Record]) -> Poll:
    if isinstance(records, RecordSet):
        return Poll(records.data, *records.values)
    return Poll.of([record.value or b"" for record in records])


def _merge(fast: Columns, strict: Columns) -> Columns:
    """Both in the order of their records; no record is in both."""
    if not len(strict.record):
        return fast
    if not len(fast.record):
        return strict
    order = np.argsort(np.concatenate((fast.record, strict.record)), kind="stable")
    return Columns(
        np.concatenate((fast.record, strict.record))[order],
        np.concatenate((fast.row, strict.row))[order],
        np.concatenate((fast.time, strict.time))[order],
        np.concatenate((fast.value, strict.value))[order],
    )
