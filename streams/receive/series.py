"""Series as they come in, each knowing what its samples become: itself, a rate, a share of a histogram."""

from collections.abc import Callable, Mapping, Sequence
from math import isfinite, isnan
from typing import Protocol

import msgspec

from streams.receive.distribution import Distribution, from_cumulative, increment, quantile
from streams.receive.draft import Draft

PENDING = 4  # moments of a histogram that may wait for their last buckets


class Emitter:
    """A series as it is written: the bytes before a sample's time, and the partition it goes to."""

    __slots__ = ("partition", "prefix")

    def __init__(self, metric: str, labels: Mapping[str, str], partition: int) -> None:
        body = msgspec.json.encode({"metric": metric, "labels": dict(sorted(labels.items()))})
        self.prefix = body[:-1] + b',"ts":'
        self.partition = partition

    def write(self, draft: Draft, ts: int, value: float) -> None:
        """Add a sample at `ts` (Unix ms) to the draft; NaN (a missing one) and infinity are dropped."""
        if not isfinite(value):
            draft.drop("missing" if isnan(value) else "infinite")
            return
        draft.lines[self.partition].append(b'%b%d,"value":%a}' % (self.prefix, ts, value))


Emit = Callable[[str, Mapping[str, str]], Emitter]
"""Makes the emitter of a metric with labels."""


class Series(Protocol):
    """Takes samples; `ts` is Unix ms."""

    seen: int

    def take(self, draft: Draft, ts: int, value: float) -> None:
        """Use one sample."""


class Gauge:
    """Written as it comes."""

    __slots__ = ("_emitter", "seen")

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self.seen = 0

    def take(self, draft: Draft, ts: int, value: float) -> None:
        """Use one sample."""
        self._emitter.write(draft, ts, value)


class Dropped:
    """Not used, as relabelling says."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen = 0

    def take(self, draft: Draft, ts: int, value: float) -> None:
        """Count one sample."""
        draft.drop("relabelled")

    def take_total(self, draft: Draft, *_: object) -> None:
        """Count one histogram."""
        draft.drop("relabelled")

    take_increment = take_total


class Counter:
    """Becomes the increase per second since the sample before; a count that went down began anew at zero."""

    __slots__ = ("_last", "_rate", "_raw", "seen")

    def __init__(self, rate: Emitter | None, raw: Emitter | None) -> None:
        self._rate = rate
        self._raw = raw
        self._last: tuple[int, float] | None = None
        self.seen = 0

    def take(self, draft: Draft, ts: int, value: float, start: int | None = None) -> None:
        """Use one sample; `start` (Unix ms) is when the counter began at zero, where that is known."""
        if isnan(value):
            draft.drop("missing")  # the series went stale: what it counted stays known
            return
        if self._raw is not None:
            self._raw.write(draft, ts, value)
        if self._rate is None:
            return
        last = draft.states.get(self, self._last)
        if last is not None and ts <= last[0]:
            draft.drop("late")
            return
        draft.states[self] = (ts, value)
        if last is not None:
            since, before = last
            if start is not None and since < start <= ts:
                since, before = (start, 0.0) if start < ts else (since, 0.0)
            increase = value - before if value >= before else value
            self._rate.write(draft, ts, increase / ((ts - since) / 1000))

    def take_rate(self, draft: Draft, ts: int, per_second: float) -> None:
        """Use an increase that the producer has already told, over its own interval."""
        if self._rate is not None:
            self._rate.write(draft, ts, per_second)

    def settled(self, state: tuple[int, float]) -> None:
        """Remember the newest sample."""
        if self._last is None or state[0] > self._last[0]:
            self._last = state


class Quantiles:
    """Writes the quantiles of what was observed between two moments."""

    __slots__ = ("_emitters",)

    def __init__(
        self, emit: Emit, metric: str, labels: Mapping[str, str], quantiles: Sequence[float]
    ) -> None:
        self._emitters = [(q, emit(metric, {**labels, "quantile": f"{q:g}"})) for q in quantiles]

    def write(self, draft: Draft, ts: int, observed: Distribution) -> None:
        """Nothing where nothing was observed: an idle service has no latency."""
        if observed.total > 0:
            for q, emitter in self._emitters:
                emitter.write(draft, ts, quantile(q, observed))


class Buckets:
    """A classic Prometheus histogram, whose buckets come as series of their own, in any order and request.

    A moment is complete when all buckets known so far have come. Where some never come, it counts with those
    there are once `PENDING` later moments wait.
    """

    __slots__ = ("_last", "_pending", "_quantiles", "bounds")

    def __init__(self, quantiles: Quantiles) -> None:
        self._quantiles = quantiles
        self.bounds: set[float] = set()
        self._pending: dict[int, dict[float, float]] = {}
        self._last: tuple[int, dict[float, float]] | None = None

    def put(self, draft: Draft, ts: int, bound: float, count: float) -> None:
        """Note one bucket's count; repeating it changes nothing."""
        last = draft.states.get(self, self._last)
        if last is not None and ts <= last[0]:
            if ts == last[0]:
                last[1][bound] = count  # a bucket first met when its moment was complete without it
            return
        cells = self._pending.setdefault(ts, {})
        cells[bound] = count
        if len(cells) >= len(self.bounds):
            self._complete(draft, ts, cells, last)
        elif len(self._pending) > PENDING:
            oldest = min(self._pending)
            self._complete(draft, oldest, self._pending[oldest], last)

    def _complete(
        self,
        draft: Draft,
        ts: int,
        cells: dict[float, float],
        last: tuple[int, dict[float, float]] | None,
    ) -> None:
        draft.states[self] = (ts, cells)
        draft.histograms += 1
        if last is not None:
            shared = cells.keys() & last[1].keys()
            before, after = ({bound: side[bound] for bound in shared} for side in (last[1], cells))
            reset = any(after[bound] < before[bound] for bound in shared)
            grown = cells if reset else {bound: after[bound] - before[bound] for bound in shared}
            self._quantiles.write(draft, ts, from_cumulative(grown))

    def settled(self, state: tuple[int, dict[float, float]]) -> None:
        """Remember the newest complete moment."""
        if self._last is None or state[0] > self._last[0]:
            self._last = state
            for ts in [ts for ts in self._pending if ts <= state[0]]:
                del self._pending[ts]


class Bucket:
    """One bucket of a classic histogram."""

    __slots__ = ("_bound", "_buckets", "_raw", "seen")

    def __init__(self, buckets: Buckets | None, bound: float, raw: Emitter | None) -> None:
        self._buckets = buckets
        self._bound = bound
        self._raw = raw
        self.seen = 0
        if buckets is not None:
            buckets.bounds.add(bound)

    def take(self, draft: Draft, ts: int, value: float) -> None:
        """Use one sample."""
        if isnan(value):
            draft.drop("missing")
            return
        if self._raw is not None:
            self._raw.write(draft, ts, value)
        if self._buckets is not None:
            self._buckets.put(draft, ts, self._bound, value)

    def leave(self) -> None:
        """The bucket comes no more: do not wait for it."""
        if self._buckets is not None:
            self._buckets.bounds.discard(self._bound)


class Histogram:
    """A histogram that comes whole: OTLP's, and Prometheus's native ones. Also rates of its count and sum."""

    __slots__ = ("_count", "_last", "_quantiles", "_sum", "seen")

    def __init__(self, quantiles: Quantiles, count: Counter, sum_: Counter) -> None:
        self._quantiles = quantiles
        self._count = count
        self._sum = sum_
        self._last: tuple[int, int, Distribution] | None = None
        self.seen = 0

    def take_total(
        self,
        draft: Draft,
        ts: int,
        total: Distribution,
        sum_: float | None,
        scale: int = 0,
        start: int | None = None,
    ) -> None:
        """Use all that was observed since the start. Where `scale` is another than before, it only counts
        from here on, since the buckets are not the same."""
        draft.histograms += 1
        self._count.take(draft, ts, total.total, start)
        if sum_ is not None:
            self._sum.take(draft, ts, sum_, start)
        last = draft.states.get(self, self._last)
        if last is not None and ts <= last[0]:
            return
        draft.states[self] = (ts, scale, total)
        if last is not None and last[1] == scale:
            reset = start is not None and last[0] < start
            self._quantiles.write(draft, ts, total if reset else increment(last[2], total))

    def take_increment(
        self, draft: Draft, ts: int, observed: Distribution, sum_: float | None, seconds: float
    ) -> None:
        """Use what was observed in the `seconds` before `ts`."""
        draft.histograms += 1
        self._quantiles.write(draft, ts, observed)
        if seconds > 0:
            self._count.take_rate(draft, ts, observed.total / seconds)
            if sum_ is not None and not isnan(sum_):
                self._sum.take_rate(draft, ts, sum_ / seconds)

    def settled(self, state: tuple[int, int, Distribution]) -> None:
        """Remember the newest moment."""
        if self._last is None or state[0] > self._last[0]:
            self._last = state
