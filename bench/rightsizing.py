"""Right-sizing on recorded usage: slack and shortage beside the rule of the Vertical Pod Autoscaler.

`python -m bench.rightsizing [--json FILE]` replays the machines of ../shared/data/usage (or TIDEGATE_DATA):
each request is decided from earlier usage only; a machine's first day is not scored. Two things are told: the
default level on all machines; and, so that the level is not chosen by what it is measured on, each machine at
the level that gives the *other* machines no more shortage than the VPA's rule gives them.
"""

import argparse
import json
import os
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

import msgspec

from planners.rightsizing import Fit, SizingPolicy
from streams.rightsize import Sizing
from streams.usage_csv import Columns, Usage, read_usage

SHARED = Path(os.environ.get("TIDEGATE_DATA", Path(__file__).parents[2] / "shared"))
LEVELS = (0.90, 0.92, 0.94, 0.95, 0.955, 0.96, 0.965, 0.97, 0.98, 0.99)
LEAST_SAMPLES = 500  # two machines ran for a day or two only

Machines = dict[str, list[Usage]]


def machines(path: Path) -> Machines:
    """The rows of each machine with enough of them."""
    rows: Machines = defaultdict(list)
    for row in read_usage(path, Columns()):
        rows[row.container].append(row)
    return {name: each for name, each in rows.items() if len(each) >= LEAST_SAMPLES}


def fits(rows: Machines, policy: SizingPolicy) -> dict[str, tuple[Fit, Fit]]:
    """Per machine, ours and the rule's."""
    sizing = Sizing("cpu", policy)
    for each in rows.values():
        for row in each:
            sizing.take(row)
    return {sized.container: (sized.fit, sized.rule) for sized in sizing.summary().containers}


def ratios(pairs: list[tuple[Fit, Fit]]) -> dict[str, float]:
    """Ours over the rule's: of the sums, and the median over machines."""
    ours, rule = Fit(), Fit()
    for mine, theirs in pairs:
        ours, rule = ours.plus(mine), rule.plus(theirs)
    return {
        "slack": ours.slack / rule.slack,
        "shortage": ours.shortage / rule.shortage,
        "median_slack": statistics.median(
            mine.slack / theirs.slack for mine, theirs in pairs if theirs.slack
        ),
        "median_shortage": statistics.median(
            mine.shortage / theirs.shortage for mine, theirs in pairs if theirs.shortage
        ),
        "changes_a_day": 24 * ours.changes / ours.hours,
        "vpa_changes_a_day": 24 * rule.changes / rule.hours,
    }


def left_out(by_level: dict[float, dict[str, tuple[Fit, Fit]]]) -> tuple[dict[str, float], dict[str, float]]:
    """The ratios with each machine at the level chosen on the others, and those levels."""
    names = list(next(iter(by_level.values())))
    chosen = {}
    for name in names:

        def shortage(level: float, without: str = name) -> tuple[float, float]:
            pairs = [pair for other, pair in by_level[level].items() if other != without]
            return sum(mine.shortage for mine, _ in pairs), sum(theirs.shortage for _, theirs in pairs)

        chosen[name] = min(level for level in LEVELS if shortage(level)[0] <= shortage(level)[1])
    return ratios([by_level[level][name] for name, level in chosen.items()]), chosen


def measure() -> dict[str, Any]:
    """All figures."""
    rows = machines(SHARED / "data" / "usage" / "bitbrains-usage.csv.gz")
    by_level = {level: fits(rows, SizingPolicy(level=level)) for level in LEVELS}
    default = SizingPolicy().level
    by_cadence = {
        f"{hours:g} h": ratios(
            list(fits(rows, msgspec.structs.replace(SizingPolicy(), interval_s=hours * 3_600)).values())
        )
        for hours in (0.0, 1.0, 6.0, 24.0)
    }
    outside, chosen = left_out(by_level)
    return {
        "machines": len(rows),
        "default_level": default,
        "levels": {str(level): ratios(list(each.values())) for level, each in by_level.items()},
        "leave_machines_out": outside,
        "levels_chosen": sorted(set(chosen.values())),
        "intervals": by_cadence,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if not (SHARED / "data" / "usage").is_dir():
        print(f"skipped: no usage below {SHARED}; set TIDEGATE_DATA to the folder that holds data/")
        return
    figures = measure()
    columns = ("slack", "shortage", "median_slack", "median_shortage", "changes_a_day", "vpa_changes_a_day")
    print(
        f"{figures['machines']} machines; ours over the rule's".ljust(34)
        + "".join(f"{c:>18}" for c in columns)
    )
    lines = {f"level {level}": each for level, each in figures["levels"].items()}
    lines["left-out machines"] = figures["leave_machines_out"]
    lines |= {f"at most every {hours}": each for hours, each in figures["intervals"].items()}
    for name, each in lines.items():
        print(name.ljust(34) + "".join(f"{each[column]:>18.3f}" for column in columns))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
