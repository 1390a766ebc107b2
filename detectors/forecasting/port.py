"""The port every many-series forecaster is used through: a bank of rows, one row per series."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Table = NDArray[Any]


class UnknownForecasterError(ValueError):
    """No forecaster has that name, or it has no such parameter; the text lists the known ones."""


class ForecasterStateError(ValueError):
    """A dumped block is not this bank's: another model, version or layout."""


class ForecastBank(Protocol):
    """Forecasters of many series, updated together.

    A missing value (NaN) changes nothing, and neither does a sample at or before the row's last time,
    so a replay is harmless. Neither other rows nor the way samples are cut into batches matter.
    """

    @property
    def name(self) -> str:
        """The registered name of the model."""

    @property
    def version(self) -> int:
        """Grows when dumped blocks stop being readable."""

    @property
    def row_bytes(self) -> int:
        """Bytes of state per row."""

    def grow(self, count: int) -> None:
        """Make rows 0 to count - 1 exist; new ones are fresh. Never shrinks."""

    def reset(self, row: int) -> None:
        """Forget what `row` has learnt."""

    def update(self, rows: I64, times: I64, values: F64) -> None:
        """Learn samples: their rows, event times (Unix ms) and values, each of length n.

        Raises:
            IndexError: a row does not exist.
            ValueError: the lengths differ.
        """

    def forecast(self, rows: I64, horizons_ms: Sequence[int], levels: Sequence[float]) -> F64:
        """Quantiles `[row, horizon, level]` of the value that long after each row's last sample.

        In the series' unit; they ascend with the level; NaN for a row without a sample.
        """

    def dump(self, start: int, stop: int) -> bytes:
        """The state of rows start to stop - 1, readable by `load` of an equal bank."""

    def load(self, start: int, stop: int, data: bytes) -> None:
        """Put a dumped block back into rows start to stop - 1.

        Raises:
            ForecasterStateError: the block is of another model, version, layout or length.
        """
