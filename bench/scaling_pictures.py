"""Draws the pictures of docs/scaling.md into docs/pictures/: `python -m bench.scaling_pictures`.

The loads are public (gocrane/crane, Apache-2.0), read from ../shared or from TIDEGATE_DATA.
"""

from itertools import pairwise
from pathlib import Path

import numpy as np

from bench.scaling import PEAK_REPLICAS, SHARED
from detectors.port import F64
from planners.scaling.shadow import advance, first_shadow
from streams.scaling import ScaleConfig, TargetScaler
from streams.traces import read_trace

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
WIDTH, HEIGHT, EDGE = 900.0, 260.0, 28.0
SHOWN = {  # name: file below data/load-traces/crane/, rows shown
    "daily": ("input0.csv", (7_200, 8_640)),
    "jobs": ("input1.csv", (14_640, 15_500)),
    "spikes": ("input7.csv", (6_000, 7_440)),
}
OURS, THEIRS, LOAD, BREACH = "#1565c0", "#ef6c00", "#90a4ae", "#c62828"


def counts(file: str) -> tuple[F64, F64, F64]:
    """Load in replicas, and the replicas that ours and the HPA at 0.70 have asked for, per row."""
    trace = read_trace(SHARED / "data" / "load-traces" / "crane" / file)
    config = ScaleConfig(capacity=float(trace.values.max()) / PEAK_REPLICAS)
    scaler, policy = TargetScaler(config), config.policy(config.capacity or 1.0)
    ours, theirs, wanted = [], [], 1
    shadow = first_shadow(policy, int(trace.times[0]), float(trace.values[0]))
    for ts, load in zip(trace.times.tolist(), trace.values.tolist(), strict=True):
        ours.append(wanted)
        theirs.append(shadow.wanted)
        _, decision = scaler.observe(ts, load, wanted)
        wanted = decision.replicas if decision is not None else wanted
        shadow = advance(policy, shadow, ts, load)
    return trace.values / policy.capacity, np.array(ours, dtype=float), np.array(theirs, dtype=float)


def serving(asked: F64, startup: int = 2) -> F64:
    """What serves in each row: what was asked for in it and in all rows of the start-up time before."""
    padded = np.concatenate([np.repeat(asked[0], startup), asked])
    ready: F64 = np.lib.stride_tricks.sliding_window_view(padded, startup + 1).min(axis=1)
    return ready


def picture(title: str, load: F64, ours: F64, theirs: F64, breach: F64) -> str:
    """An SVG: the load as an area, both counts as steps, a mark where ours were too few."""
    high = float(max(load.max(), ours.max(), theirs.max()))

    def at(row: int, value: float) -> str:
        x = EDGE + (WIDTH - 2 * EDGE) * row / max(len(load) - 1, 1)
        return f"{x:.1f},{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * value / high:.1f}"

    def steps(values: F64) -> str:
        rows = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values) - 1]
        points = [at(0, values[0])]
        for before, row in pairwise(rows):
            points += [at(row, values[before]), at(row, values[row])]
        return " ".join(points)

    area = [at(0, 0.0), *(at(row, value) for row, value in enumerate(load)), at(len(load) - 1, 0.0)]
    spots = [at(row, load[row]).split(",") for row in np.flatnonzero(breach).tolist()]
    marks = "".join(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{BREACH}"/>' for x, y in spots)
    words = "".join(
        f'<text x="{x}" y="18" font-family="sans-serif" font-size="12" fill="{colour}">{text}</text>'
        for x, text, colour in (
            (EDGE, title, "#263238"),
            (WIDTH - 330, "load", LOAD),
            (WIDTH - 290, "ours", OURS),
            (WIDTH - 245, "the HPA at 0.70", THEIRS),
            (WIDTH - 140, "ours too few", BREACH),
        )
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img">'
        f'<title>{title}</title><rect width="100%" height="100%" fill="#ffffff"/>'
        f'<polygon points="{" ".join(area)}" fill="{LOAD}" fill-opacity="0.45"/>'
        f'<polyline points="{steps(theirs)}" fill="none" stroke="{THEIRS}" stroke-width="1.2"/>'
        f'<polyline points="{steps(ours)}" fill="none" stroke="{OURS}" stroke-width="1.2"/>'
        f"{marks}{words}</svg>\n"
    )


def main() -> None:
    """Write one picture per load of `SHOWN`."""
    PICTURES.mkdir(exist_ok=True)
    for name, (file, (start, stop)) in SHOWN.items():
        load, ours, theirs = counts(file)
        breach = load > serving(ours)
        rows = slice(start, stop)
        title = f"{Path(file).stem}, minutes {start} to {stop}, in replicas"
        text = picture(title, load[rows], ours[rows], theirs[rows], breach[rows])
        (PICTURES / f"scaling-{name}.svg").write_text(text)


if __name__ == "__main__":
    main()
