"""Which observations of the arms belong together: one step is one report of each arm.

Arms and metrics report at their own moments, so a step is found from the reports: it ends when a series that
already reported reports again, or when more than half of the shortest interval between two reports of
one series has passed. Only timestamps are looked at, never values, so the steps cannot favour an outcome.
"""

import msgspec

from planners.releases.batch import Batch


class Step(msgspec.Struct, frozen=True):
    """What each arm reported for each metric, `arms[arm][metric]`; `ts` is the last report's Unix ms."""

    ts: int
    arms: dict[str, dict[str, Batch]]

    def of(self, arm: str, metric: str) -> Batch | None:
        """What `arm` reported for `metric`, None where it was silent."""
        return self.arms.get(arm, {}).get(metric)

    def metrics(self) -> dict[str, Batch]:
        """One observation of each metric that any arm reported."""
        return {metric: batch for arm in self.arms.values() for metric, batch in arm.items()}


class Steps(msgspec.Struct):
    """The open step. `width` is its fixed length in ms, None where it is found from the reports."""

    width: int | None = None
    cadence: int | None = None
    start: int | None = None
    last: int = 0
    late: int = 0
    reported: dict[str, int] = msgspec.field(default_factory=dict)
    arms: dict[str, dict[str, Batch]] = msgspec.field(default_factory=dict)

    def add(self, ts: int, arm: str, metric: str, batch: Batch) -> Step | None:
        """Take one observation; returns the step that it ended, if it ended one.

        An observation older than the open step is counted in `late` and left out: its step was judged.
        """
        key = f"{arm}/{metric}"
        ended = None
        if self.start is not None and not self._belongs(ts, key):
            if ts < self.start:
                self.late += 1
                return None
            ended = self.close()
        if self.start is None:
            self.start = ts if self.width is None else ts - ts % self.width
        self.last = max(self.last, ts)
        self.reported[key] = ts
        side = self.arms.setdefault(arm, {})
        side[metric] = side[metric] + batch if metric in side else batch
        return ended

    def close(self) -> Step | None:
        """End the open step and return it, None where nothing was observed."""
        if self.start is None:
            return None
        step = Step(self.last, self.arms)
        self.start, self.arms, self.reported = None, {}, {}
        return step

    def due(self, now: int) -> bool:
        """Whether the open step is over at `now`: nothing that belongs to it can still come on time."""
        if self.start is None:
            return False
        length = self.width or self.cadence
        return length is not None and now >= self.start + length

    def _belongs(self, ts: int, key: str) -> bool:
        assert self.start is not None  # noqa: S101
        if self.width is not None:
            return self.start <= ts < self.start + self.width
        before = self.reported.get(key)
        if before == ts:
            return True
        if before is not None:
            gap = abs(ts - before)
            self.cadence = gap if self.cadence is None else min(self.cadence, gap)
            return False
        return self.cadence is None or abs(ts - self.start) <= self.cadence / 2
