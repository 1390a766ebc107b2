"""Rows of state in one structured array: growth, reset, dump and load."""

from typing import Any

import numpy as np

from detectors.forecasting.port import F64, I64, ForecasterStateError, Table


class Rows:
    """A structured array with a record per series; a record of zero bytes is a fresh one."""

    def __init__(self, name: str, version: int, layout: np.dtype[Any]) -> None:
        self.name = name
        self.version = version
        self.row_bytes = layout.itemsize
        self._table: Table = np.zeros(0, dtype=layout)
        self._count = 0

    def grow(self, count: int) -> None:
        """Make rows 0 to count - 1 exist; new ones are fresh. Never shrinks."""
        if count > len(self._table):
            table = np.zeros(max(count, 2 * len(self._table)), dtype=self._table.dtype)
            table[: self._count] = self._table[: self._count]
            self._table = table
        self._count = max(self._count, count)

    def reset(self, row: int) -> None:
        """Forget what `row` has learnt."""
        self._check(row, row + 1)
        self._table[row] = np.zeros((), dtype=self._table.dtype)

    def dump(self, start: int, stop: int) -> bytes:
        """The state of rows start to stop - 1."""
        self._check(start, stop)
        return self._header() + self._table[start:stop].tobytes()

    def load(self, start: int, stop: int, data: bytes) -> None:
        """Put a dumped block back into rows start to stop - 1.

        Raises:
            ForecasterStateError: the block is of another model, version, layout or length.
        """
        self._check(start, stop)
        header = self._header()
        if not data.startswith(header):
            found = data.partition(b"\n")[0][:80].decode("ascii", "replace")
            expected = header.decode("ascii").rstrip("\n")
            raise ForecasterStateError(
                f"block of {found!r}, expected {expected!r}: let the series learn anew"
            )
        size = (stop - start) * self.row_bytes
        if len(data) - len(header) != size:
            found_size = len(data) - len(header)
            raise ForecasterStateError(
                f"block of {found_size} bytes, expected {size} for {stop - start} rows"
            )
        self._table[start:stop] = np.frombuffer(data, dtype=self._table.dtype, offset=len(header))

    def _header(self) -> bytes:
        return f"{self.name}/{self.version}/{self.row_bytes}\n".encode("ascii")

    def _check(self, start: int, stop: int) -> None:
        if not 0 <= start <= stop <= self._count:
            last = self._count - 1
            raise IndexError(f"rows {start} to {stop - 1} are not all in 0 to {last}; call grow first")

    def _check_rows(self, rows: I64) -> None:
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < self._count:
            raise IndexError(
                f"rows {rows.min()} to {rows.max()} are not all in 0 to {self._count - 1}; call grow first"
            )

    def _check_batch(self, rows: I64, times: I64, values: F64) -> None:
        if not len(rows) == len(times) == len(values):
            raise ValueError(f"lengths differ: {len(rows)} rows, {len(times)} times, {len(values)} values")
        self._check_rows(rows)
