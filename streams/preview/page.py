"""One self-contained page: load and band, replicas, breaches and cost of a course; no script, no network."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

import numpy as np
from numpy.typing import NDArray

from streams.preview.course import Course
from streams.preview.what_if import HEADS, Case, row

F64 = NDArray[np.float64]

WIDTH, LEFT, RIGHT = 1_100, 64, 12
COLUMNS = 1_000  # of the picture: more rows than that are drawn by the least and the most of each
FIRST_DATE_S = 1e8  # smaller times count from the trace's start

STYLE = """
:root{color-scheme:light dark;--ink:#1b2733;--paper:#fff;--faint:#8795a1;--grid:#e3e8ec;--load:#36506b;
--ours:#1b7f5c;--hpa:#c2571a;--static:#8a6fb0;--band:#a9c5e8}
@media(prefers-color-scheme:dark){:root{--ink:#dde5ec;--paper:#12181e;--faint:#8795a1;--grid:#2a343d;
--load:#9fb9d4;--ours:#4cc79a;--hpa:#f0905a;--static:#b79ddd;--band:#2f4a6b}}
body{margin:24px auto;max-width:1140px;padding:0 16px;background:var(--paper);color:var(--ink);
font:15px/1.45 system-ui,sans-serif}
h1{font-size:22px}h2{font-size:15px;margin:22px 0 2px}p{margin:4px 0 10px}
svg{width:100%;height:auto;display:block}svg text{fill:var(--faint);font-size:11px}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:8px 0 16px}
th,td{text-align:right;padding:3px 12px;border-bottom:1px solid var(--grid)}
th:first-child,td:first-child{text-align:left}
.key{color:var(--faint)}.key b{font-weight:600}
"""


def page(name: str, course: Course, cases: Sequence[Case] = ()) -> str:
    """The HTML text for the load called `name`, with a what-if table where there are `cases`."""
    low, high = course.band
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width'>",
        f"<title>Scaling {escape(name)}</title><style>{STYLE}</style></head><body>",
        f"<h1>Scaling {escape(name)}</h1>",
        f"<p>{_span(course)}; a replica serves {course.capacity:.6g}.</p>",
        _summary(course),
        _heading(
            "Load", ("load", "load"), ("band", f"forecast, {low:g} to {high:g}"), ("ours", "what is ready")
        ),
        _load(course),
        _heading("Replicas paid", ("ours", "Tidegate"), ("hpa", "HPA's rule")),
        _lines(course, ((course.hpa, "hpa"), (course.ours, "ours")), 180),
        _heading(
            "Breaches: load that nobody served", ("ours", "Tidegate, above"), ("hpa", "HPA's rule, below")
        ),
        _breaches(course),
        _heading(
            "Cost so far", ("ours", "Tidegate"), ("hpa", "HPA's rule"), ("static", "static at the peak")
        ),
        _lines(
            course,
            ((course.static_cost, "static"), (course.hpa_cost, "hpa"), (course.cost, "ours")),
            180,
        ),
    ]
    if cases:
        parts += ["<h2>What if</h2>", _what_if(cases)]
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _heading(title: str, *keys: tuple[str, str]) -> str:
    told = " &middot; ".join(f"<b style='color:var(--{colour})'>{escape(text)}</b>" for colour, text in keys)
    return f"<h2>{escape(title)} <span class='key'>{told}</span></h2>"


def _summary(course: Course) -> str:
    heads = ("", "spend", "replica-hours", "against the HPA's rule", "breach minutes", "incidents")
    names = {"actual": "Tidegate", "hpa": "HPA's rule", "static": "static at the peak"}
    hpa = course.totals["hpa"].spend
    rows = []
    for name, title in names.items():
        meter = course.totals[name]
        against = f"{meter.spend / hpa - 1.0:+.1%}" if hpa > 0.0 else "-"
        cells = (
            f"{meter.spend:,.1f}", f"{meter.replica_hours:,.1f}", against, f"{meter.breach_s / 60:,.1f}",
            f"{meter.incidents:,}",
        )  # fmt: skip
        rows.append("<tr><td>" + "</td><td>".join((title, *cells)) + "</td></tr>")
    return _table(heads, rows)


def _what_if(cases: Sequence[Case]) -> str:
    rows = ["<tr><td>" + "</td><td>".join(row(case)) + "</td></tr>" for case in cases]
    return (
        _table(HEADS, rows) + "<p class='key'>The first is as configured; of the others each changes one.</p>"
    )


def _table(heads: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in heads)
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


# -- pictures --------------------------------------------------------------------------------------


def _load(course: Course) -> str:
    ready = course.ready * course.capacity
    top = float(np.nanmax(np.concatenate([course.load, ready])))
    scale = _Scale(course.times, top, 260)
    low, high = scale.spread(course.load)
    band_low, band_high = scale.spread(course.lower)[0], scale.spread(course.upper)[1]
    free = scale.line(scale.spread(ready)[1])
    shapes = [
        f"<path d='{scale.area(band_low, np.minimum(band_high, top))}' fill='var(--band)' opacity='.55'/>",
        f"<path d='{scale.area(low, high)}' fill='var(--load)' stroke='var(--load)' stroke-width='.8'/>",
        f"<path d='{free}' fill='none' stroke='var(--ours)' stroke-width='1.2'/>",
    ]
    return scale.svg(shapes)


def _lines(course: Course, series: Sequence[tuple[F64, str]], height: int) -> str:
    scale = _Scale(course.times, max(float(values.max()) for values, _ in series), height)
    return scale.svg(
        [
            f"<path d='{scale.line(scale.spread(values)[1])}' fill='none' stroke='var(--{colour})' "
            "stroke-width='1.3'/>"
            for values, colour in series
        ]
    )


def _breaches(course: Course) -> str:
    scale = _Scale(course.times, 1.0, 60, ticks=False)
    shapes = []
    for values, colour, y in ((course.short, "ours", 10), (course.hpa_short, "hpa", 32)):
        for column in np.flatnonzero(scale.spread(values)[1] > 0.0).tolist():
            x = LEFT + column * scale.step
            wide = max(scale.step, 1.2)
            shapes.append(
                f"<rect x='{x:.1f}' y='{y}' width='{wide:.1f}' height='16' fill='var(--{colour})'/>"
            )
    return scale.svg(shapes)


class _Scale:
    """From time and value to the picture: time in columns, values from 0 to `top`."""

    def __init__(self, times: F64, top: float, height: int, ticks: bool = True) -> None:
        self._times = times
        self._top = top if top > 0.0 else 1.0
        self._height = height
        self._ticks = ticks
        self._columns = min(COLUMNS, len(times))
        span = max(float(times[-1] - times[0]), 1e-9)
        share = (times - times[0]) / span
        self._column = np.minimum((share * self._columns).astype(int), self._columns - 1)
        self.step = (WIDTH - LEFT - RIGHT) / self._columns

    def spread(self, values: F64) -> tuple[F64, F64]:
        """The least and the most of each column; NaN where there is nothing."""
        low, high = np.full(self._columns, np.nan), np.full(self._columns, np.nan)
        np.fmin.at(low, self._column, values)
        np.fmax.at(high, self._column, values)
        return low, high

    def _point(self, column: int, value: float) -> str:
        y = self._height - 22 - (self._height - 30) * value / self._top
        return f"{LEFT + (column + 0.5) * self.step:.1f} {y:.1f}"

    def line(self, values: F64) -> str:
        """A path in steps through the columns that have a value."""
        known = [(column, float(value)) for column, value in enumerate(values) if np.isfinite(value)]
        return "M" + "L".join(self._point(column, value) for column, value in known) if known else "M0 0"

    def area(self, low: F64, high: F64) -> str:
        """A closed path between two lines, where both are known."""
        known = np.flatnonzero(np.isfinite(low) & np.isfinite(high)).tolist()
        if not known:
            return "M0 0"
        there = [self._point(column, float(high[column])) for column in known]
        back = [self._point(column, float(low[column])) for column in reversed(known)]
        return "M" + "L".join(there + back) + "Z"

    def svg(self, shapes: Sequence[str]) -> str:
        """The picture with its axes."""
        bottom = self._height - 22
        marks = []
        for share in (0.0, 0.5, 1.0) if self._ticks else (0.0,):
            y = bottom - (self._height - 30) * share
            marks.append(
                f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y:.1f}' y2='{y:.1f}' stroke='var(--grid)'/>"
            )
            if self._ticks:
                told = f"{self._top * share:.4g}"
                marks.append(f"<text x='{LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>{told}</text>")
        for tick in range(7):
            at = self._times[0] + (self._times[-1] - self._times[0]) * tick / 6
            x = LEFT + (WIDTH - LEFT - RIGHT) * tick / 6
            anchor = ("start", "middle", "end")[(tick > 0) + (tick == 6)]
            told = _moment(float(at))
            marks.append(f"<text x='{x:.1f}' y='{self._height - 6}' text-anchor='{anchor}'>{told}</text>")
        inner = "".join([*marks, *shapes])
        return f"<svg viewBox='0 0 {WIDTH} {self._height}' role='img'>{inner}</svg>"


def _moment(at_s: float) -> str:
    if at_s < FIRST_DATE_S:
        return f"day {at_s / 86_400:.1f}"
    return f"{datetime.fromtimestamp(at_s, UTC):%d %b %H:%M}"


def _span(course: Course) -> str:
    days = (course.times[-1] - course.times[0]) / 86_400
    return f"{len(course.times):,} rows over {days:.1f} days, from {_moment(float(course.times[0]))} UTC"
