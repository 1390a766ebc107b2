"""Admission against a plain reading of its rule."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.ingest import NEVER, admit

samples = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 6), st.sampled_from([1.0, math.nan, math.inf, -math.inf]))
)


@given(samples, st.integers(0, 60))
def test_admits_what_is_finite_and_newer_whatever_the_batches(
    given_samples: list[tuple[int, int, float]], cut: int
) -> None:
    last: dict[int, int] = {}
    expected, duplicate, late, not_finite = [], 0, 0, 0
    for row, time, value in given_samples:
        finite = math.isfinite(value)
        admitted = finite and time > last.get(row, -1)
        not_finite += not finite
        duplicate += finite and time == last.get(row, -1)
        late += finite and time < last.get(row, -1)
        if admitted:
            last[row] = time
        expected.append(admitted)
    last_time = np.full(4, NEVER)
    parts = []
    for part in (given_samples[:cut], given_samples[cut:]):
        row, time, value = (np.array(column) for column in zip(*part, strict=True)) if part else ([], [], [])
        parts.append(
            admit(
                np.asarray(row, np.int64),
                np.asarray(time, np.int64),
                np.asarray(value, np.float64),
                last_time,
            )
        )
    assert [admitted for part in parts for admitted in part.mask.tolist()] == expected
    assert sum(part.duplicate for part in parts) == duplicate
    assert sum(part.late for part in parts) == late
    assert sum(part.not_finite for part in parts) == not_finite
    assert last_time.tolist() == [last.get(row, NEVER) for row in range(4)]


@pytest.mark.parametrize("row", [-1, 2])
def test_a_row_without_a_place_is_an_error_and_changes_nothing(row: int) -> None:
    last_time = np.full(2, NEVER)
    with pytest.raises(IndexError, match="2 series"):
        admit(np.array([0, row]), np.array([5, 5]), np.array([1.0, 1.0]), last_time)
    assert last_time.tolist() == [NEVER, NEVER]
