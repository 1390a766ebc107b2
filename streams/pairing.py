"""From single samples to observations of release metrics: a count and its total are two series."""

import math
from collections.abc import Sequence

import msgspec

from planners.releases import MetricSpec, Seen
from streams.order import Moment

_FORGET_MS = 3_600_000


class _Half(msgspec.Struct, array_like=True):
    """What came at `ts` of the series with the same labels, by metric."""

    ts: int
    values: dict[str, float]


class Pairing(msgspec.Struct):
    """Brings counts and totals of the same labels and time together; other metrics pass as they are.

    `open` is by labels, `counters` has the last value of each series that only grows.
    """

    open: dict[str, _Half] = {}
    counters: dict[str, float] = {}

    def take(self, moment: Moment, metric: str, specs: Sequence[MetricSpec]) -> list[Seen]:
        """The observations that the sample of `metric` completes.

        A counter that fell has started again (a restart of its process): what it shows is its growth.
        """
        found = [
            Seen(moment.ts, moment.arm, spec.name, moment.value)
            for spec in specs
            if spec.name == metric and spec.total is None
        ]
        paired = [spec for spec in specs if spec.total is not None and metric in (spec.name, spec.total)]
        if not paired:
            return found
        value = moment.value
        if any(spec.counter for spec in paired):
            last = self.counters.get(moment.series)
            self.counters[moment.series] = value
            if last is None:
                return found
            value = value - last if value >= last else value
        labels = moment.series.partition("{")[2]
        half = self.open.get(labels)
        if half is None or half.ts < moment.ts:
            half = self.open[labels] = _Half(moment.ts, {})
            self._forget(moment.ts)
        if half.ts > moment.ts:
            return found
        half.values[metric] = value
        for spec in paired:
            count, total = half.values.get(spec.name), half.values.get(str(spec.total))
            if count is not None and total is not None and _counts(spec, count, total):
                found.append(Seen(moment.ts, moment.arm, spec.name, count, total))
        return found

    def _forget(self, ts: int) -> None:
        old = [labels for labels, half in self.open.items() if half.ts < ts - _FORGET_MS]
        for labels in old:
            del self.open[labels]
        for series in [each for each in self.counters if each.partition("{")[2] in old]:
            del self.counters[series]


def _counts(spec: MetricSpec, count: float, total: float) -> bool:
    """Whether the two can be a count and its total: a total of nothing is a step without traffic."""
    if not (math.isfinite(count) and math.isfinite(total) and count >= 0 and total >= 0):
        return False
    return spec.kind == "count" or count <= total
