"""Adding up the load of a target whose series arrive one by one, some late."""

import msgspec


class Tick(msgspec.Struct, frozen=True):
    """The target's load in the interval that begins at `ts` (Unix ms): the sum over its series."""

    ts: int
    load: float


class LoadSum(msgspec.Struct, kw_only=True):
    """Sums the series of one target per interval.

    An interval is complete when every active series has a sample in it, or when one of them is more
    than `lateness_ms` past its end; a series without a sample there counts with its last value while
    it is active (heard of within `idle_ms`). The first sample of an interval counts, later ones of
    the same series are left out, so a target of one series is decided on at once.
    """

    interval_ms: int
    lateness_ms: int = 60_000
    idle_ms: int = 300_000
    last: dict[str, tuple[int, float]] = msgspec.field(default_factory=dict)  # series: (time, value)
    open: dict[int, dict[str, tuple[int, float]]] = msgspec.field(default_factory=dict)
    closed: int | None = None  # start of the newest interval that has been told
    newest: int | None = None  # newest sample time of all

    def add(self, series: str, ts: int, value: float) -> list[Tick]:
        """Take one sample; return the intervals that it completes, oldest first."""
        self.newest = ts if self.newest is None else max(self.newest, ts)
        start = ts - ts % self.interval_ms
        self.last[series] = (ts, value)
        if self.closed is None or start > self.closed:
            self.open.setdefault(start, {}).setdefault(series, (ts, value))
        self.last = {s: seen for s, seen in self.last.items() if self.newest - seen[0] <= self.idle_ms}
        done = []
        for begin in sorted(self.open):
            if not self._complete(begin):
                break
            done.append(self._close(begin))
        return done

    def _complete(self, begin: int) -> bool:
        assert self.newest is not None  # noqa: S101
        if self.newest >= begin + self.interval_ms + self.lateness_ms:
            return True
        return self.last.keys() <= self.open[begin].keys()

    def _close(self, begin: int) -> Tick:
        present = self.open.pop(begin)
        self.closed = begin
        carried = [value for series, (_, value) in self.last.items() if series not in present]
        total = sum(value for _, value in present.values()) + sum(carried)
        return Tick(max(ts for ts, _ in present.values()), total)
