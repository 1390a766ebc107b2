"""Forecasts of recorded loads: pinball loss of each model per horizon, and the ensemble's coverage.

`python -m bench.forecasting [--river] [--json FILE]` follows each trace of the shared data from its first
row; after two days every seventh row is forecast. Losses are means over the levels 0.5, 0.9 and 0.99,
relative to the trace's mean; figures over traces are geometric means. `--river` lets SNARIMAX and
HoltWinters join, which takes some ten minutes; they are asked an hour ahead at most. Data is read from
../shared, or from TIDEGATE_DATA.
"""

import argparse
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detectors.forecasting import LoadForecaster
from streams.traces import read_trace

SHARED = Path(os.environ.get("TIDEGATE_DATA", Path(__file__).parents[2] / "shared"))
MINUTE_MS = 60_000
STEPS = (1, 3, 10, 30, 60, 240, 720, 1440)
LEVELS = (0.5, 0.9, 0.99)
WARM_UP, EVERY = 2_880, 7
RIVER = {
    "snarimax": ("river.time_series.SNARIMAX", {"p": 6, "d": 0, "q": 3, "m": 60, "sp": 1}),
    "holt-winters": (
        "river.time_series.HoltWinters",
        {"alpha": 0.3, "beta": 0.01, "gamma": 0.3, "seasonality": 1440},
    ),
}


def measure(
    trace: Path, members: Mapping[str, tuple[str, Mapping[str, object]]]
) -> tuple[dict[str, list[float]], list[list[float]]]:
    """Relative loss by model and horizon, and the ensemble's coverage by horizon and level."""
    recorded = read_trace(trace)
    values = np.nan_to_num(recorded.values)
    model_of = LoadForecaster(members)
    horizons = [step * MINUTE_MS for step in STEPS]
    made, told = [], {model: [] for model in model_of.models}  # type: ignore[var-annotated]
    for i in range(len(values) - max(STEPS)):
        model_of.observe(int(recorded.times[i]), float(values[i]))
        if i >= WARM_UP and i % EVERY == 0:
            made.append(i)
            for model in model_of.models:
                told[model].append(model_of.forecast(horizons, LEVELS, model))
    came = np.stack([values[np.array(made) + step] for step in STEPS], axis=1)[:, :, None]
    levels = np.array(LEVELS)
    losses = {}
    for model, quantiles in told.items():
        gap = came - np.array(quantiles)
        lost = np.where(gap >= 0, levels * gap, (levels - 1) * gap)
        tried = np.isfinite(lost).sum(axis=(0, 2))
        mean = np.nansum(lost, axis=(0, 2)) / np.where(tried > 0, tried, np.nan)
        losses[model] = (mean / values.mean()).tolist()
    covered = (came <= np.array(told["ensemble"])).mean(axis=0)
    return losses, covered.tolist()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--river", action="store_true", help="let River's models join")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    traces = sorted((SHARED / "data" / "load-traces").rglob("*.csv"))
    if not traces:
        print(f"skipped: no load traces below {SHARED}; set TIDEGATE_DATA to the folder that holds data/")
        return
    figures: dict[str, Any] = {}
    for trace in traces:
        losses, covered = measure(trace, RIVER if options.river else {})
        figures[trace.stem] = {"losses": losses, "covered": covered}
        worst = np.abs(np.array(covered) - LEVELS).max(axis=1)
        print(f"{trace.stem:>16} worst coverage error by horizon: {' '.join(f'{w:.3f}' for w in worst)}")
    print(f"{'minutes ahead':>16}" + "".join(f"{step:>9}" for step in STEPS))
    for model in figures[traces[0].stem]["losses"]:
        table = np.array([figures[trace.stem]["losses"][model] for trace in traces])
        means = np.exp(np.log(table).mean(axis=0))
        print(f"{model:>16}" + "".join(f"{mean:9.4f}" for mean in means))
    errors = np.array([figures[trace.stem]["covered"] for trace in traces]) - LEVELS
    for i, level in enumerate(LEVELS):
        mean = np.abs(errors[:, :, i]).mean(axis=0)
        print(f"{f'|coverage-{level}|':>16}" + "".join(f"{m:9.3f}" for m in mean))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
