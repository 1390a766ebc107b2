"""Draws the pictures of docs/detection.md into docs/pictures/: `python -m bench.detection_pictures`.

The series are public (NAB, and Microsoft's cloud monitoring dataset; both MIT), read from ../shared or from
TIDEGATE_DATA.
"""

from pathlib import Path

import numpy as np

from bench.detection import SHARED
from detectors.port import F64, Bool
from detectors.registry import make_bank
from streams.traces import read_trace

PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
WIDTH, HEIGHT, EDGE = 900.0, 220.0, 24.0
SHOWN = {  # name: file below data/, rows shown
    "spikes": ("cloud-monitoring/ecommerce-api-incoming-rps/api-01.csv", (600, 1400)),
    "incidents": ("cloud-monitoring/application-crash-rate-1/app1-08.csv", (250, 710)),
    "level-shift": ("nab/data/realAWSCloudwatch/rds_cpu_utilization_e47b3b.csv", (2300, 2900)),
}


def picture(title: str, values: F64, lower: F64, upper: F64, alarm: Bool) -> str:
    """An SVG of one series: the band shaded, the values a line, a dot on each alarm."""
    low = min(np.nanmin(values), np.nanquantile(lower, 0.02))
    high = max(np.nanmax(values), np.nanquantile(upper, 0.98))

    def at(row: int, value: float) -> str:
        x = EDGE + (WIDTH - 2 * EDGE) * row / max(len(values) - 1, 1)
        inside = min(max(value, low), high)
        return f"{x:.1f},{HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (inside - low) / (high - low):.1f}"

    rows = [row for row in range(len(values)) if np.isfinite(lower[row])]
    band = [at(row, upper[row]) for row in rows] + [at(row, lower[row]) for row in reversed(rows)]
    line = [at(row, values[row]) for row in range(len(values)) if np.isfinite(values[row])]
    spots = (at(row, values[row]).split(",") for row in np.flatnonzero(alarm).tolist())
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="3" fill="#c62828"/>' for x, y in spots)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" role="img">'
        f'<title>{title}</title><rect width="100%" height="100%" fill="#ffffff"/>'
        f'<polygon points="{" ".join(band)}" fill="#90caf9" fill-opacity="0.5"/>'
        f'<polyline points="{" ".join(line)}" fill="none" stroke="#263238" stroke-width="1"/>'
        f'{dots}<text x="{EDGE:.0f}" y="16" font-family="sans-serif" font-size="12">{title}</text></svg>\n'
    )


def main() -> None:
    """Write one picture per series of `SHOWN`."""
    PICTURES.mkdir(exist_ok=True)
    for name, (file, (start, stop)) in SHOWN.items():
        trace = read_trace(SHARED / "data" / file)
        bank = make_bank()
        bank.grow(1)
        scores = bank.update(np.zeros(len(trace.times), np.int64), trace.times, trace.values)
        rows = slice(start, stop)
        columns = (trace.values, scores.lower, scores.upper, scores.alarm)
        title = f"{Path(file).stem}, rows {start} to {stop}: band and alarms"
        text = picture(title, *(column[rows] for column in columns))
        (PICTURES / f"detection-{name}.svg").write_text(text)


if __name__ == "__main__":
    main()
