"""A picture of a verdict: each metric's ratio to its control on a logarithmic axis, with its interval.

`as_text` is for terminals and alert messages, `as_svg` for pages and reports.
"""

import math
from html import escape

from planners.releases.verdict import MetricVerdict, Verdict

_MOST = 8.0
_TICKS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_COLOURS = {"harmful": "#c0392b", "safe": "#1e8449", "undecided": "#5d6d7e", "no-data": "#b2babb"}
_LEFT, _WIDE, _ROW = 190, 360, 26


def as_text(verdict: Verdict, width: int = 41) -> str:
    """One line per metric: `|` is no difference, `:` the tolerance, `-` the interval, `o` the estimate.

    The axis runs from an eighth to eight times the control; what lies beyond is drawn at its ends.
    """
    lines = [f"{verdict.release}: {verdict.verdict}"]
    name = max((len(seen.metric) for seen in verdict.per_metric), default=0)
    for seen in verdict.per_metric:
        cells = [" "] * width
        if seen.ratio is not None:
            low, high = _cell(seen.lower or 0.0, width), _cell(seen.upper or math.inf, width)
            cells[low : high + 1] = "-" * (high + 1 - low)
            cells[_cell(1 + seen.tolerance, width)] = ":"
            cells[_cell(1.0, width)] = "|"
            cells[_cell(seen.ratio, width)] = "o"
        lines.append(f"{seen.metric:<{name}} [{''.join(cells)}] {seen.finding}")
    return "\n".join(lines)


def as_svg(verdict: Verdict) -> str:
    """The same as an SVG document, with the reason below."""
    height = 46 + _ROW * len(verdict.per_metric) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDE + 250}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="8" y="18" font-size="14">{escape(verdict.release)}: {verdict.verdict}</text>',
    ]
    bottom = 34 + _ROW * len(verdict.per_metric)
    for tick in _TICKS:
        at = _x(tick)
        colour = "#2c3e50" if tick == 1.0 else "#e5e8e8"
        parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="30" y2="{bottom}" stroke="{colour}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle">{tick:g}x</text>')
    parts += [_svg_row(seen, 34 + _ROW * row) for row, seen in enumerate(verdict.per_metric)]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _svg_row(seen: MetricVerdict, top: int) -> str:
    middle, colour = top + _ROW / 2, _COLOURS[seen.finding]
    parts = [f'<text x="8" y="{middle + 4:g}">{escape(seen.metric)}</text>']
    if seen.ratio is not None:
        low, high = _x(seen.lower or 0.0), _x(seen.upper or math.inf)
        limit = _x(1 + seen.tolerance)
        parts += [
            f'<line x1="{limit:.1f}" x2="{limit:.1f}" y1="{top}" y2="{top + _ROW}" stroke="#e67e22" '
            'stroke-dasharray="3 2"/>',
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle:g}" y2="{middle:g}" stroke="{colour}" '
            'stroke-width="4"/>',
            f'<circle cx="{_x(seen.ratio):.1f}" cy="{middle:g}" r="5" fill="{colour}"/>',
        ]
    words = f"{seen.finding}, evidence {seen.evidence:.3g} of {seen.needed:.3g}"
    parts.append(f'<text x="{_LEFT + _WIDE + 10}" y="{middle + 4:g}" fill="{colour}">{words}</text>')
    return "\n".join(parts)


def _part(ratio: float) -> float:
    """Where a ratio lies on the axis, 0 to 1."""
    clipped = min(max(ratio, 1 / _MOST), _MOST)
    return 0.5 + math.log(clipped) / math.log(_MOST) / 2


def _cell(ratio: float, width: int) -> int:
    return round(_part(ratio) * (width - 1))


def _x(ratio: float) -> float:
    return _LEFT + _part(ratio) * _WIDE
