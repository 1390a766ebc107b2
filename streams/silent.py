"""Series that fall silent: since when, and until when.

Time here is that of the partition: the newest event time of its samples, none of which counts for later than
it was produced, and the time that a worker tells when nothing comes at all. Which samples make a series
silent, and which end that, does not depend on how they are cut into batches.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.ingest import NEVER

FAR = int(np.iinfo(np.int64).max)
HEARD, SILENT, GONE = 0, 1, 2


class Change(NamedTuple):
    """The series in `row` fell silent at `time` (Unix ms), or that ended then."""

    row: int
    silent: bool
    time: int


class Watch:
    """Watches for silence.

    `limits` are by row: how long one may be silent (ms, 0: for ever). `state` is by row: HEARD, SILENT, GONE.
    A row silent for `gone_ms` is taken for gone for good, and its silence ends then.
    """

    def __init__(self, gone_ms: int) -> None:
        self.clock = NEVER
        self._gone = gone_ms
        self._due = NEVER  # no row falls silent, or is gone, before

    def heard(
        self,
        rows: NDArray[np.int64],
        times: NDArray[np.int64],
        before: NDArray[np.int64],
        clock: NDArray[np.int64],
        limits: NDArray[np.int64],
        state: NDArray[np.uint8],
    ) -> list[Change]:
        """Samples come. `clock` is the partition's time before each of them, `before` (by row) the last times
        before the first of them; `state` is brought up to date.
        """
        watched = np.flatnonzero(limits[rows] > 0)
        if not len(watched):
            return []
        order = watched[np.argsort(rows[watched], kind="stable")]
        row, time = rows[order], times[order]
        first = np.r_[True, row[1:] != row[:-1]]
        previous = np.where(first, before[row], np.r_[NEVER, time[:-1]])
        known = previous != NEVER
        gap = np.where(known, clock[order] - np.where(known, previous, 0), 0)
        was = np.where(first, state[row], HEARD)
        fell = (gap >= limits[row]) & (was == HEARD)
        changes = []
        for i in np.flatnonzero(fell | (was == SILENT)).tolist():
            each = int(row[i])
            if fell[i]:
                changes.append(Change(each, True, int(previous[i] + limits[each])))
            changes.append(Change(each, False, min(int(time[i]), int(previous[i]) + self._gone)))
        state[row] = HEARD
        last = np.r_[first[1:], True]
        self._due = min(self._due, int((time[last] + limits[row[last]]).min()))
        return changes

    def passed(
        self, time: int, last: NDArray[np.int64], limits: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> list[Change]:
        """It is `time` (Unix ms): what of rows last heard of at `last` falls silent or is gone."""
        self.clock = max(self.clock, time)
        if self.clock < self._due:
            return []
        since, fell, gone = self._look(self.clock, last, limits, state)
        changes = []
        for row in np.flatnonzero(fell | gone).tolist():
            if fell[row]:
                changes.append(Change(row, True, int(last[row] + limits[row])))
            if gone[row]:
                changes.append(Change(row, False, int(last[row]) + self._gone))
        state[fell] = SILENT
        state[gone] = GONE
        left = (limits > 0) & (last != NEVER) & (state != GONE)
        due = np.where(state == SILENT, self._gone, limits) - since
        self._due = self.clock + int(due[left].min()) if left.any() else FAR
        return changes

    def would_change(
        self, time: int, last: NDArray[np.int64], limits: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> bool:
        """Whether anything would fall silent or be gone, were it `time`."""
        if time < self._due:
            return False
        _, fell, gone = self._look(time, last, limits, state)
        return bool(fell.any() or gone.any())

    def look_again(self) -> None:
        """Rows were changed from outside: look at all of them the next time."""
        self._due = NEVER

    def _look(
        self, time: int, last: NDArray[np.int64], limits: NDArray[np.int64], state: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """How long each row has been silent; which fall silent; which are gone."""
        watched = (limits > 0) & (last != NEVER)
        since = np.where(watched, time - np.where(watched, last, 0), 0)
        fell = watched & (state == HEARD) & (since >= limits)
        gone = watched & (state != GONE) & (since >= self._gone)
        return since, fell, gone
