"""What decoding one poll of one partition gives: columns of samples, and what was not used."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Columns(NamedTuple):
    """Samples in input order, one entry each in four arrays of equal length."""

    record: NDArray[np.int32]
    """Position of the sample's record in the list that was decoded."""
    row: NDArray[np.int64]
    """Row of the sample's series in the partition's `SeriesIndex`."""
    time: NDArray[np.int64]
    """Event time, Unix milliseconds."""
    value: NDArray[np.float64]
    """Finite value, in the series' own unit."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record of which at least one sample is not data, for the dead letters.

    A record has at most one, however many of its samples are bad; its good samples are in the columns.
    """

    record: int
    """Position in the list that was decoded."""
    reason: str
    """What was wrong, where, and what was expected."""
    path: str | None = None
    """JSON path of the first fault, as `$[3].value`; None where the record as a whole cannot be read."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Outcome of `Decoder.decode`."""

    columns: Columns
    rejects: list[Reject]
    dropped: dict[str, int] = field(default_factory=dict)
    """Samples that are data and were not used, by policy: `missing`, `infinite`, `too-old`, `not-numeric`."""
    stamped: int = 0
    """Samples without a timestamp, which took that of their record."""
