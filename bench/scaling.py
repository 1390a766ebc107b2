"""Scaling on recorded loads: cost and incidents beside the HPA and the oracle.

`python -m bench.scaling [--traces FOLDER] [--json FILE]` replays each trace through the code of
`tidegate backtest scale` with the default configuration (start-up 120 s, 40 replicas at the peak) and has
it scored by the shared scorer. Data and scorer are read from ../shared beside the project, or from
TIDEGATE_DATA.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from streams.backtest_scale import backtest
from streams.scaling import ScaleConfig
from streams.traces import read_trace

SHARED = Path(os.environ.get("TIDEGATE_DATA", Path(__file__).parents[2] / "shared"))
PEAK_REPLICAS = 40
HPA = "0.70"
COLUMNS = (
    "trace",
    "cost/HPA",
    "incidents",
    "HPA's",
    "cost at equal breach",
    "cost/oracle",
    "breach min",
    "HPA's",
)


def measure(trace: Path) -> dict[str, Any]:
    """The scorer's figures for one trace, by the default configuration."""
    capacity = float(max(read_trace(trace).values)) / PEAK_REPLICAS
    with TemporaryDirectory() as folder:
        decisions = Path(folder) / "decisions.csv"
        backtest(trace, decisions, ScaleConfig(capacity=capacity))
        scorer = [sys.executable, str(SHARED / "tools" / "scale_score.py"), str(trace), str(decisions)]
        scored = subprocess.run(scorer, check=True, capture_output=True, text=True)
    figures: dict[str, Any] = json.loads(scored.stdout)
    return figures


def row(name: str, figures: dict[str, Any]) -> dict[str, Any]:
    """What is told of one trace."""
    ours, hpa = figures["decisions"], figures["hpa"][HPA]
    return {
        "trace": name,
        "cost_vs_hpa": ours["replica_hours"] / hpa["replica_hours"],
        "incidents": ours["incidents"],
        "hpa_incidents": hpa["incidents"],
        "incidents_vs_hpa": ours["incidents"] / hpa["incidents"] if hpa["incidents"] else None,
        "cost_at_equal_breach": figures["cost_vs_hpa_at_equal_breach_minutes"],
        "cost_vs_oracle": figures["cost_vs_oracle"],
        "breach_minutes": ours["breach_minutes"],
        "hpa_breach_minutes": hpa["breach_minutes"],
    }


def medians(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Medians over the traces of the ratios; a ratio to nothing is left out."""
    names = ("cost_vs_hpa", "incidents_vs_hpa", "cost_at_equal_breach", "cost_vs_oracle")
    return {name: statistics.median(r[name] for r in rows if r[name] is not None) for name in names}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    folder = SHARED / "data" / "load-traces"
    parser.add_argument("--traces", type=Path, default=folder, help="folder of other loads, as CSV")
    options = parser.parse_args()
    traces = sorted(options.traces.rglob("*.csv"))
    if not traces:
        print(f"skipped: no loads below {options.traces}; set TIDEGATE_DATA to the folder that holds data/")
        return
    rows = []
    print("".join(f"{column:>21}" for column in COLUMNS))
    for trace in traces:
        told = row(trace.stem, measure(trace))
        rows.append(told)
        equal = told["cost_at_equal_breach"]
        cells = (
            told["trace"], f"{told['cost_vs_hpa']:.3f}", told["incidents"], told["hpa_incidents"],
            "-" if equal is None else f"{equal:.3f}", f"{told['cost_vs_oracle']:.3f}",
            f"{told['breach_minutes']:.1f}", f"{told['hpa_breach_minutes']:.1f}",
        )  # fmt: skip
        print("".join(f"{cell:>21}" for cell in cells), flush=True)
    middle = medians(rows)
    print("medians: " + ", ".join(f"{name} {value:.3f}" for name, value in middle.items()))
    if options.json:
        options.json.write_text(json.dumps({"traces": rows, "medians": middle}, indent=2) + "\n")


if __name__ == "__main__":
    main()
