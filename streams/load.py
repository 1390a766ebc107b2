"""Adding up the load of a target whose series arrive one by one, some late."""

import msgspec

MISSED = 2.5  # a series counts with its last value until it is silent for so many of its usual gaps
OVERDUE = 1.5  # and is no longer waited for after so many, where others have taken its place


class Tick(msgspec.Struct, frozen=True):
    """The target's load in the interval that begins at `ts` (Unix ms): the sum over its series."""

    ts: int
    load: float


class LoadSum(msgspec.Struct, kw_only=True):
    """Sums the series of one target per interval.

    An interval is complete when every active series has a sample in it, or when one of them is more
    than `lateness_ms` past its end. The first sample of an interval counts, later ones of the same series are
    left out, so a target of one series is decided on at once. Nothing is told in the first
    `lateness_ms`, while it is not known how many series there are: a part of the load is not the load.

    A series without a sample counts with its last value while it is active: heard of within two and a
    half of its usual gaps, `lateness_ms` at least and `idle_ms` at most. But no more series
    are counted than usual: in a rolling update new replicas take over from old ones, and
    the old ones' last values are not load any more.
    """

    interval_ms: int
    lateness_ms: int = 60_000
    idle_ms: int = 300_000
    last: dict[str, tuple[int, float]] = msgspec.field(default_factory=dict)  # series: (time, value)
    gaps: dict[str, int] = msgspec.field(default_factory=dict)  # series: its last time between samples
    open: dict[int, dict[str, tuple[int, float]]] = msgspec.field(default_factory=dict)
    closed: int | None = None  # start of the newest interval that has been told
    newest: int | None = None  # newest sample time of all
    begun: int | None = None  # time of the first sample
    usual: int = 0  # series that counted in the last interval

    def add(self, series: str, ts: int, value: float) -> list[Tick]:
        """Take one sample; return the intervals that it completes, oldest first."""
        self.newest = ts if self.newest is None else max(self.newest, ts)
        self.begun = ts if self.begun is None else min(self.begun, ts)
        start = ts - ts % self.interval_ms
        if series in self.last:
            self.gaps[series] = ts - self.last[series][0]
        self.last[series] = (ts, value)
        if self.closed is None or start > self.closed:
            self.open.setdefault(start, {}).setdefault(series, (ts, value))
        self.last = {s: seen for s, seen in self.last.items() if self._silent_ms(s) <= self._patience_ms(s)}
        self.gaps = {s: gap for s, gap in self.gaps.items() if s in self.last}
        done: list[Tick] = []
        if self.newest < self.begun + self.lateness_ms:
            return done
        for begin in sorted(self.open):
            if not self._complete(begin):
                break
            done.append(self._close(begin))
        return done

    def _silent_ms(self, series: str) -> int:
        assert self.newest is not None  # noqa: S101
        return self.newest - self.last[series][0]

    def _patience_ms(self, series: str) -> float:
        gap = self.gaps.get(series)
        return self.idle_ms if gap is None else min(max(MISSED * gap, self.lateness_ms), self.idle_ms)

    def _complete(self, begin: int) -> bool:
        assert self.newest is not None  # noqa: S101
        if self.newest >= begin + self.interval_ms + self.lateness_ms:
            return True
        missing = self.last.keys() - self.open[begin].keys()
        if not missing:
            return True
        replaced = len(self.open[begin]) >= self.usual > 0
        return replaced and all(
            self._silent_ms(s) > OVERDUE * self.gaps.get(s, self.lateness_ms) for s in missing
        )

    def _close(self, begin: int) -> Tick:
        present = self.open.pop(begin)
        self.closed = begin
        absent = [(ts, series, value) for series, (ts, value) in self.last.items() if series not in present]
        room = max(self.usual - len(present), 0) if self.usual else len(absent)
        carried = sorted(absent, reverse=True)[:room]  # those heard of last
        self.usual = len(present) + len(carried)
        total = sum(value for _, value in present.values()) + sum(value for _, _, value in carried)
        return Tick(max(ts for ts, _ in present.values()), total)
