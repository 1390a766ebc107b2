"""Banks whose state is one structured array, one record per row, updated by a compiled kernel."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.port import F32, F64, I64, Bool, Scores, StateError, blank_scores, check_batch

Table = NDArray[Any]


class Batch(NamedTuple):
    """Samples as a kernel takes them."""

    rows: I64
    times: I64
    values: F64


class Columns(NamedTuple):
    """The arrays of `Scores` as a kernel fills them; they hold `blank_scores` before."""

    score: F64
    expected: F64
    lower: F64
    upper: F64
    alarm: Bool
    learning: Bool
    evidence: F32


Kernel = Callable[[Table, Batch, F64, Columns], None]


class ColumnarBank:
    """A `Bank` over a kernel `kernel(table, batch, settings, columns)`.

    A record of zero bytes is a fresh row, so memory of rows that were never used is never touched.
    `settings` is a float64 array that the kernel reads; it is configuration, not state.
    """

    def __init__(
        self,
        name: str,
        version: int,
        *,
        evidence: tuple[str, ...],
        layout: np.dtype[Any],
        kernel: Kernel,
        settings: F64,
    ) -> None:
        self.name = name
        self.version = version
        self.evidence = evidence
        self.row_bytes = layout.itemsize
        self._kernel = kernel
        self._settings = settings
        self._table: Table = np.zeros(0, dtype=layout)
        self._count = 0

    def grow(self, count: int) -> None:
        if count > len(self._table):
            table = np.zeros(max(count, 2 * len(self._table)), dtype=self._table.dtype)
            _bytes_of(table[: self._count])[:] = _bytes_of(self._table[: self._count])
            self._table = table
        self._count = max(self._count, count)

    def reset(self, row: int) -> None:
        self._check_rows(row, row + 1)
        self._table[row] = np.zeros((), dtype=self._table.dtype)

    def update(self, rows: I64, times: I64, values: F64) -> Scores:
        check_batch(rows, times, values, self._count)
        out = blank_scores(len(rows), len(self.evidence))
        columns = Columns(
            out.score, out.expected, out.lower, out.upper, out.alarm, out.learning, out.evidence
        )
        self._kernel(self._table, Batch(rows, times, values), self._settings, columns)
        return out

    def dump(self, start: int, stop: int) -> bytes:
        self._check_rows(start, stop)
        return self._header() + self._table[start:stop].tobytes()

    def load(self, start: int, stop: int, data: bytes) -> None:
        self._check_rows(start, stop)
        header = self._header()
        if not data.startswith(header):
            found = data.partition(b"\n")[0][:80].decode("ascii", "replace")
            expected = header.decode("ascii").rstrip("\n")
            raise StateError(f"block of {found!r}, expected {expected!r}: drop the state or run that version")
        size = (stop - start) * self.row_bytes
        if len(data) - len(header) != size:
            found_size = len(data) - len(header)
            raise StateError(f"block of {found_size} bytes, expected {size} for {stop - start} rows")
        _bytes_of(self._table[start:stop])[:] = np.frombuffer(data, np.uint8, offset=len(header))

    def _header(self) -> bytes:
        return f"{self.name}/{self.version}/{self.row_bytes}\n".encode("ascii")

    def _check_rows(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self._count:
            last = self._count - 1
            raise IndexError(f"rows {start} to {stop - 1} are not all in 0 to {last}; call grow first")


def _bytes_of(rows: Table) -> NDArray[np.uint8]:
    """The bytes of contiguous rows, for copies: NumPy copies records field by field, tens of times slower."""
    return rows.view(np.uint8)
