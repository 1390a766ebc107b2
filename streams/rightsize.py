"""`tidegate rightsize`: requests from recorded usage, from files or from the topic `metrics`."""

import csv
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from planners.rightsizing import Fit, Request, Sizer, SizingPolicy, fit, make_sizer
from streams.ingest import Decoder, Limits, SeriesIndex
from streams.tail import tail
from streams.usage_csv import Usage

COLUMNS = ("container", "ts", "request", "lower", "upper", "reason")
WARM_UP_S = 86_400.0  # requests of a container's first day are not scored: both rules only guess then
LONGEST_GAP_S = 3_600.0
BATCH = 5_000


class Sized(msgspec.Struct, frozen=True, kw_only=True):
    """One container's request now, and how its requests fitted so far; `rule` is the VPA's on the same."""

    container: str
    request: Request | None
    samples: int
    fit: Fit
    rule_request: Request | None
    rule: Fit


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """All containers, in the order of their first sample; `late` rows came behind their time."""

    containers: tuple[Sized, ...]
    late: int

    def total(self) -> tuple[Fit, Fit]:
        """All fits added up, ours and that of the rule."""
        ours, rule = Fit(), Fit()
        for sized in self.containers:
            ours, rule = ours.plus(sized.fit), rule.plus(sized.rule)
        return ours, rule


class _Container:
    """Two sizers of one container, and what was in force at each of its samples."""

    def __init__(self, resource: str, policy: SizingPolicy | None) -> None:
        self.sizer: Sizer = make_sizer("mixture", resource, policy)
        self.rule: Sizer = make_sizer("vpa", resource)
        self.first: float | None = None
        self.last: float | None = None
        self.samples = 0
        self.scored: tuple[list[float], list[float], list[float], list[float]] = ([], [], [], [])

    def take(self, usage: Usage) -> Request | None:
        """Score what was in force, then learn; the request where it changes, None where it does not."""
        before = self.sizer.request
        if usage.killed:
            self.rule.out_of_memory(usage.ts, usage.value)
            after = self.sizer.out_of_memory(usage.ts, usage.value)
        else:
            gap = usage.ts - self.last if self.last is not None else 0.0
            held = usage.duration_s if usage.duration_s is not None else min(gap, LONGEST_GAP_S)
            self._score(usage, held)
            self.rule.observe(usage.ts, usage.value, held)
            after = self.sizer.observe(usage.ts, usage.value, held)
        self.first = usage.ts if self.first is None else self.first
        self.last, self.samples = usage.ts, self.samples + 1
        return after if before is None or after.value != before.value else None

    def _score(self, usage: Usage, held_s: float) -> None:
        ours, rule = self.sizer.request, self.rule.request
        if ours is None or rule is None or self.first is None or usage.ts - self.first <= WARM_UP_S:
            return
        for column, value in zip(self.scored, (usage.value, held_s, ours.value, rule.value), strict=True):
            column.append(value)

    def sized(self, name: str) -> Sized:
        """What has become of it."""
        used, held, ours, rule = self.scored
        return Sized(
            container=name,
            request=self.sizer.request,
            samples=self.samples,
            fit=fit(used, ours, held),
            rule_request=self.rule.request,
            rule=fit(used, rule, held),
        )


class Sizing:
    """Takes usage in the order it comes, container by container or mixed."""

    def __init__(self, resource: str = "cpu", policy: SizingPolicy | None = None) -> None:
        self._resource, self._policy = resource, policy
        self._containers: dict[str, _Container] = {}
        self._late = 0

    def take(self, usage: Usage) -> Request | None:
        """Learn one row; the new request where it changes. A row behind its container's time is left out."""
        container = self._containers.get(usage.container)
        if container is None:
            container = self._containers[usage.container] = _Container(self._resource, self._policy)
        late = container.last is not None and usage.ts <= container.last
        if (late and not usage.killed) or not math.isfinite(usage.value) or usage.value < 0.0:
            self._late += late
            return None
        return container.take(usage)

    def summary(self) -> Summary:
        """Everything so far."""
        sized = tuple(each.sized(name) for name, each in self._containers.items())
        return Summary(containers=sized, late=self._late)


def replay(rows: Iterable[Usage], out: Path | None, sizing: Sizing) -> Summary:
    """Size each row's container in file order; write `COLUMNS` to `out`, a row where a request changes."""
    if out is None:
        for row in rows:
            sizing.take(row)
        return sizing.summary()
    partial = out.with_name(out.name + ".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in rows:
            request = sizing.take(row)
            if request is not None:
                numbers = (f"{each:.6g}" for each in (request.value, request.lower, request.upper))
                writer.writerow((row.container, f"{row.ts:.16g}", *numbers, request.reason))
    partial.replace(out)
    return sizing.summary()


async def from_topic(topic: str, metric: str, connection: Mapping[str, Any]) -> AsyncIterator[Usage]:
    """The samples of `metric` that the topic holds, in the order of their records; a series is a container.

    Raises:
        TailError: there is no such topic.
        KafkaError: the brokers cannot be reached.
    """
    index = SeriesIndex()
    decoder = Decoder(index, Limits())
    batch = []
    async for record in tail(topic, connection=connection, last=None, follow=False):
        batch.append(record)
        if len(batch) == BATCH:
            for usage in _decoded(batch, decoder, index, metric):
                yield usage
            batch = []
    for usage in _decoded(batch, decoder, index, metric):
        yield usage


def _decoded(batch: list[Any], decoder: Decoder, index: SeriesIndex, metric: str) -> Iterable[Usage]:
    if not batch:
        return
    columns = decoder.decode(batch, max(record.timestamp for record in batch)).columns
    for row, ts, value in zip(
        columns.row.tolist(), columns.time.tolist(), columns.value.tolist(), strict=True
    ):
        if index.metric(row) == metric:
            yield Usage(index.key(row), ts / 1000.0, value, None, False)


def in_words(summary: Summary, most: int = 20) -> str:
    """A table of what to request now, and how the requests fitted beside the rule of the VPA."""
    lines = [f"{'container':<40} {'samples':>8} {'request':>12} {'VPA':>12}  why"]
    for sized in summary.containers[:most]:
        if sized.request is None or sized.rule_request is None:
            continue
        lines.append(
            f"{sized.container[-40:]:<40} {sized.samples:>8} {sized.request.value:>12.6g} "
            f"{sized.rule_request.value:>12.6g}  {sized.request.reason}"
        )
    if len(summary.containers) > most:
        lines.append(f"and {len(summary.containers) - most} more: see the file")
    ours, rule = summary.total()
    if ours.hours > 0 and ours.used > 0:
        lines.append(
            f"after the first day: slack {_share(ours.slack, rule.slack)} and shortage "
            f"{_share(ours.shortage, rule.shortage)} of those of the VPA's rule; "
            f"{24 * ours.changes / ours.hours:.1f} changes a day ({24 * rule.changes / rule.hours:.1f})"
        )
    if summary.late:
        lines.append(f"{summary.late} rows were not later than the one before them, and left out")
    newest = max((each.request.ts for each in summary.containers if each.request), default=None)
    if newest is not None:
        lines.append(f"newest decision: {datetime.fromtimestamp(newest, UTC):%Y-%m-%d %H:%M} UTC")
    return "\n".join(lines)


def _share(ours: float, rule: float) -> str:
    return f"{ours / rule:.0%}" if rule > 0 else f"{ours:.3g} against 0"
