"""How well the detectors detect: NAB, operational metrics, calibration, and cost per sample.

`python -m bench.detection [--json FILE] [--model NAME ...] [--rates RATE ...]` prints the tables of
docs/detection.md. Data and scorers are read from ../shared beside the project, or from the folder that
TIDEGATE_DATA names; what is absent there is skipped with a line that says so.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from bench.calibration import RATES, generated, real
from detectors.port import F64, I64, Bank, Scores, blank_scores
from detectors.registry import ALARMS_PER_SERIES_DAY, make_bank
from streams.backtest_detect import backtest

SHARED = Path(os.environ.get("TIDEGATE_DATA", Path(__file__).parents[2] / "shared"))
PROFILES = ("standard", "reward_low_FP_rate", "reward_low_FN_rate")
PUBLISHED = {  # NAB's results/final_results.json at ea702d7
    "ARTime (published)": (74.85, 65.15, 80.36),
    "HTM, numenta (published)": (70.10, 63.12, 74.32),
    "random cut forest (published)": (51.72, 38.36, 59.75),
    "windowed Gaussian (published)": (39.65, 20.87, 47.41),
    "random (published)": (16.83, 5.76, 25.88),
}


class NewExtreme:
    """The trivial baseline: any value above or below all before it is an alarm; one row."""

    name, version, evidence, row_bytes = "new-extreme", 1, ("extreme",), 0

    def grow(self, count: int) -> None: ...

    def reset(self, row: int) -> None: ...

    def update(self, rows: I64, times: I64, values: F64) -> Scores:
        """Scores of a whole series."""
        out = blank_scores(len(values), 1)
        highest = np.maximum.accumulate(values)
        lowest = np.minimum.accumulate(values)
        out.alarm[24:] = (values[24:] > highest[23:-1]) | (values[24:] < lowest[23:-1])
        out.score[:] = out.alarm
        return out

    def dump(self, start: int, stop: int) -> bytes:
        return b""

    def load(self, start: int, stop: int, data: bytes) -> None: ...


def bank_of(model: str, rate: float = ALARMS_PER_SERIES_DAY) -> Bank:
    return NewExtreme() if model == NewExtreme.name else make_bank(model, alarms_per_series_day=rate)


def scorer(name: str, *arguments: str | Path) -> Any:
    """The JSON answer of a scoring tool."""
    command = [sys.executable, str(SHARED / "tools" / name), *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def nab(model: str) -> dict[str, dict[str, float]]:
    """Scores by profile: on all files, and leaving one category out at a time."""
    with TemporaryDirectory() as out:
        backtest(SHARED / "data/nab/data", Path(out), lambda: bank_of(model))
        whole, left_out = scorer("nab_score.py", out), scorer("nab_score.py", out, "--leave-category-out")
    return {
        profile: {
            "score": whole[profile]["total"]["score"],
            "leave_category_out": left_out[profile]["total"]["score"],
            "windows_found": whole[profile]["total"]["windows_found"],
            "false_positive_rows": whole[profile]["total"]["false_positive_rows"],
        }
        for profile in PROFILES
    }


def operations(model: str, rate: float = ALARMS_PER_SERIES_DAY) -> dict[str, dict[str, float]]:
    """Event scores by domain and of all."""
    labels = SHARED / "data/cloud-monitoring"
    with TemporaryDirectory() as out:
        backtest(labels, Path(out), lambda: bank_of(model, rate))
        answer = scorer("event_score.py", "--labels", labels, "--alarms", out)
    return {group: figures for group, figures in answer.items() if group == "all" or group.endswith("/")}


def calibration(model: str) -> dict[str, dict[str, dict[str, float]]]:
    """Alarms per asked alarm where nothing is wrong, by asked rate and kind of series or data set."""

    def make(rate: float) -> Bank:
        return bank_of(model, rate)

    answer = {}
    for name, rate in RATES.items():
        kinds = {
            kind: {"first 4 weeks": counts.early.ratio, "all": counts.whole.ratio}
            for kind, counts in generated(make, rate).items()
        }
        sets = {kind: {"all": count.ratio} for kind, count in real(SHARED, make, rate).items()}
        answer[name] = kinds | sets
    return answer


def cost_ns(model: str, series: int, samples: int = 2_000_000) -> float:
    """Nanoseconds of processor time per sample, over random rows of `series` warm series (median batch)."""
    rng = np.random.default_rng(0)
    bank = make_bank(model)
    bank.grow(series)
    base = rng.normal(100.0, 10.0, series)
    everyone = np.arange(series)
    for minute in range(40):
        times = np.full(series, 60_000 * minute)
        bank.update(everyone, times, base + rng.normal(0.0, 1.0, series))
    costs = []
    for minute in range(40, 40 + samples // 50_000):
        rows = rng.integers(0, series, 50_000)
        values = base[rows] + rng.normal(0.0, 1.0, 50_000)
        times = np.full(50_000, 60_000 * minute)
        begun = time.process_time_ns()
        bank.update(rows, times, values)
        costs.append((time.process_time_ns() - begun) / 50_000)
    return float(np.median(costs))


def print_nab(results: Mapping[str, Any]) -> None:
    print("\nNAB (higher is better; leave-category-out in brackets)")
    print(f"{'':<32}{'standard':>16}{'low FP':>16}{'low FN':>16}")
    for model, result in results.items():
        scores = (result[profile] for profile in PROFILES)
        cells = (f"{s['score']:.1f} ({s['leave_category_out']:.1f})" for s in scores)
        print(f"{model:<32}" + "".join(f"{cell:>16}" for cell in cells))
    for name, published in PUBLISHED.items():
        print(f"{name:<32}" + "".join(f"{score:>16.1f}" for score in published))


def print_operations(results: Mapping[str, Any]) -> None:
    columns = ("events", "recall", "precision", "false_alarms_per_day", "delay_samples_median")
    print("\nOperational metrics (cloud-monitoring), asked for one alarm per series and week")
    print(f"{'':<12}{'':<30}" + "".join(f"{column:>22}" for column in columns))
    for model, domains in results.items():
        for domain, figures in domains.items():
            cells = ("-" if figures[c] is None else f"{figures[c]:.3g}" for c in columns)
            print(f"{model:<12}{domain:<30}" + "".join(f"{cell:>22}" for cell in cells))


def print_calibration(results: Mapping[str, Any]) -> None:
    print("\nAlarms per asked alarm where nothing is wrong (1 is calibrated): all, first 4 weeks in brackets")
    for model, by_rate in results.items():
        groups = next(iter(by_rate.values()))
        print(f"{model:<44}" + "".join(f"{'one ' + rate:>18}" for rate in by_rate))
        for group in groups:
            cells = (_cell(ratios[group]) for ratios in by_rate.values())
            print(f"  {group:<42}" + "".join(f"{cell:>18}" for cell in cells))


def _cell(ratios: Mapping[str, float]) -> str:
    early = ratios.get("first 4 weeks")
    return f"{ratios['all']:.2f}" + ("" if early is None else f" ({early:.2f})")


def print_rates(rates: Sequence[float]) -> dict[str, Any]:
    """What the asked rate buys on the operational metrics, for the default model."""
    print("\nRecall against the asked rate (cloud-monitoring, tidegate)")
    answer = {}
    for rate in rates:
        found = operations("tidegate", rate)["all"]
        answer[f"{rate:.3g}"] = found
        given = found["false_alarms_per_day"]
        print(f"asked {rate:.3g} a day: recall {found['recall']:.3f}, false alarms {given:.3f} a day")
    return answer


def print_cost(results: Mapping[str, Any]) -> None:
    print("\nCost: ns per sample on one core; state per series")
    for model, cost in results.items():
        told = ", ".join(f"{n} series: {ns:.0f} ns" for n, ns in cost["ns"].items())
        print(f"{model:<24}{cost['row_bytes']} bytes; {told}")


def measure(models: Sequence[str]) -> dict[str, Any]:
    """All the figures whose data is there."""
    answer: dict[str, Any] = {}
    parts: tuple[tuple[str, Path, Callable[[str], Any], Callable[[Mapping[str, Any]], None]], ...] = (
        ("nab", SHARED / "data/nab", nab, print_nab),
        ("operations", SHARED / "data/cloud-monitoring", operations, print_operations),
    )
    for name, needed, run, show in parts:
        if not needed.is_dir():
            print(f"\n{name}: skipped, there is no {needed} (set TIDEGATE_DATA)")
            continue
        answer[name] = {model: run(model) for model in (*models, NewExtreme.name)}
        show(answer[name])
    answer["calibration"] = {model: calibration(model) for model in models}
    print_calibration(answer["calibration"])
    answer["cost"] = {
        model: {
            "row_bytes": make_bank(model).row_bytes,
            "ns": {n: cost_ns(model, n) for n in (1000, 100_000)},
        }
        for model in models
    }
    print_cost(answer["cost"])
    return answer


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--model", nargs="+", default=["tidegate", "ewma-z"], help="registered detectors")
    parser.add_argument("--rates", nargs="+", type=float, help="only recall against these asked rates")
    options = parser.parse_args()
    figures = print_rates(options.rates) if options.rates else measure(options.model)
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
