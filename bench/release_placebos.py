"""Releases that never happened, on real gauges: how often the judge without a control takes one back.

`python -m bench.release_placebos` needs the data folder (TIDEGATE_DATA, by default ../shared beside the
project). Moments are drawn at random; those near a labelled anomaly are left out, though not every
anomaly of these series has a label. Any rollback is a false one.
"""

import csv
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table

from planners.releases import TargetWatch
from planners.releases.config import JudgeConfig
from schemas import Deployment

Series = tuple[str, NDArray[np.float64], NDArray[np.bool_]]
MOMENTS = 10
SEED = 0


def data_folder() -> Path:
    """The folder with the real series.

    Raises:
        SystemExit: it is not there.
    """
    root = Path(os.environ.get("TIDEGATE_DATA", Path(__file__).parents[2] / "shared")) / "data"
    if not root.is_dir():
        sys.exit(f"no data at {root}: set TIDEGATE_DATA to the folder that holds data/")
    return root


def series(root: Path) -> Iterator[Series]:
    """Each series' kind, values, and whether a sample lies in a labelled anomaly."""
    for path in sorted(root.glob("cloud-monitoring/**/*.csv")):
        rows = [row for row in csv.DictReader(path.open()) if row["Value"] and row["Label"]]
        yield (
            "cloud",
            np.array([float(row["Value"]) for row in rows]),
            np.array([row["Label"] == "1" for row in rows]),
        )
    for name, windows in json.loads(next(root.glob("nab/**/combined_windows.json")).read_text()).items():
        if name.startswith("real"):
            rows = list(csv.DictReader((root / "nab" / "data" / name).open()))
            times = [row["timestamp"] for row in rows]
            near = [any(start[:19] <= time <= end[:19] for start, end in windows) for time in times]
            yield "nab", np.array([float(row["value"]) for row in rows]), np.array(near)
    for path in sorted(root.glob("load-traces/**/*.csv")):
        values = np.array([float(row["value"]) for row in csv.DictReader(path.open())])
        yield "load", values, np.zeros(len(values), dtype=bool)


def taken_back(values: list[float], past: int, config: JudgeConfig) -> bool:
    """Whether a release after `past` ticks that changes nothing is rolled back."""
    watch = TargetWatch(config)
    for minute, value in enumerate(values):
        ts = 60_000 * minute
        if minute == past:
            watch.observe_deployment(Deployment(target="t", release="v2", ts=ts))
        verdict = watch.observe_value(ts, None, "gauge", value)
        if verdict is not None:
            return verdict.verdict == "rollback"
    return False


def main() -> None:
    """Print the share of placebo releases that are taken back, by kind of series and length of the past."""
    known = list(series(data_folder()))
    table = Table("past", "looks", *(kind for kind in ("cloud", "nab", "load")))
    for past in (120, 1440):
        for looks, config in ((60, JudgeConfig()), (500, JudgeConfig(bake_steps=10**9))):
            rng, tried, false = np.random.default_rng(SEED), Counter[str](), Counter[str]()
            for kind, values, near in track(known, f"{past} ticks of past, {looks} looks"):
                for _ in range(MOMENTS if len(values) > past + looks else 0):
                    start = int(rng.integers(0, len(values) - past - looks))
                    window = slice(start, start + past + looks)
                    if not near[window].any():
                        tried[kind] += 1
                        false[kind] += taken_back(values[window].tolist(), past, config)
            cells = [f"{false[kind]} of {tried[kind]}" for kind in ("cloud", "nab", "load")]
            table.add_row(str(past), f"{looks}{'' if looks == 500 else ', then promoted'}", *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
