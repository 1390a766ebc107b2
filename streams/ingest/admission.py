"""Which samples a model may learn: finite, and newer than the last one of their series."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

NEVER = np.iinfo(np.int64).min
"""`last_time` of a series that has had no sample."""


class Admission(NamedTuple):
    """Outcome of `admit`: the mask of admitted samples, and how many were dropped for what."""

    mask: NDArray[np.bool_]
    duplicate: int
    """Samples at the very time of the last admitted one of their series."""
    late: int
    """Samples older than the last admitted one of their series."""
    not_finite: int
    """Samples that are NaN or infinite."""


def admit(
    row: NDArray[np.int64],
    time: NDArray[np.int64],
    value: NDArray[np.float64],
    last_time: NDArray[np.int64],
) -> Admission:
    """Admit, in input order, each finite sample newer than the last admitted one of its series.

    `row`, `time` (Unix ms) and `value` have one entry per sample; `last_time` has one per series, starts
    as `NEVER`, and is brought up to date in place. The first of two samples at one time counts.

    Raises:
        IndexError: a row has no entry in `last_time`; nothing was changed.
    """
    if len(row) and not 0 <= row.min() <= row.max() < len(last_time):
        raise IndexError(f"rows {row.min()}..{row.max()} exceed the {len(last_time)} series of last_time")
    mask = np.empty(len(row), dtype=np.bool_)
    duplicate, late, not_finite = _admit(row, time, value, last_time, mask)
    return Admission(mask, duplicate, late, not_finite)


@njit(cache=True, nogil=True)
def _admit(row, time, value, last_time, mask):  # type: ignore[no-untyped-def]
    duplicate = 0
    late = 0
    not_finite = 0
    for i in range(row.shape[0]):
        mask[i] = False
        last = last_time[row[i]]
        if not np.isfinite(value[i]):
            not_finite += 1
        elif time[i] > last:
            last_time[row[i]] = time[i]
            mask[i] = True
        elif time[i] == last:
            duplicate += 1
        else:
            late += 1
    return duplicate, late, not_finite
