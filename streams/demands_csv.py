"""Demands of a cluster from a CSV file, and its plan as another."""

import csv
import re
from collections.abc import Mapping
from pathlib import Path

from planners.optimiser import ClusterError, ClusterLimits, ClusterPlan, Demand, cost_of, proportional
from streams.traces import TraceError, number, open_text

COLUMNS = ("target", "replicas", "alone", "served", "reasons")
PLAIN = ("target", "price", "penalty", "priority", "min", "max", "current")


def read_demands(path: Path, resources: Mapping[str, float]) -> list[Demand]:
    """Demands from a CSV: `target`, quantiles of the need in replicas (`q0.5`, `q0.9`, ...), and at will
    `price`, `penalty`, `priority`, `min`, `max`, `current`, and what a replica takes of each of `resources`.

    Raises:
        TraceError: the file cannot be read, a column is absent or unknown, or a cell is no number.
        ClusterError: a demand cannot be planned with.
    """
    demands = []
    try:
        with open_text(path, "rt") as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or ())
            levels = {name: float(name[1:]) for name in header if re.fullmatch(r"q0?\.\d+", name)}
            if "target" not in header or not levels:
                raise TraceError(f"{path}: expected the columns target and quantiles such as q0.5 and q0.9")
            if unknown := sorted(set(header) - {*PLAIN, *levels, *resources}):
                known = ", ".join([*PLAIN, *resources, "and quantiles"])
                raise TraceError(f"{path}: unknown columns {', '.join(unknown)}; known: {known}")
            for row in reader:
                demands.append(_demand(row, levels, resources, f"{path}, line {reader.line_num}"))
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, EOFError, csv.Error) as error:
        raise TraceError(f"{path}: not a readable CSV file ({error})") from error
    return demands


def _demand(
    row: Mapping[str, str | None], levels: Mapping[str, float], resources: Mapping[str, float], where: str
) -> Demand:
    def cell(name: str, default: float) -> float:
        value = number(row.get(name) or "", where)
        return default if value != value else value  # noqa: PLR0124 - NaN where it is empty

    ordered = sorted(levels, key=lambda name: levels[name])
    try:
        return Demand(
            target=row["target"] or "",
            levels=tuple(levels[name] for name in ordered),
            quantiles=tuple(cell(name, 0.0) for name in ordered),
            price=cell("price", 1.0),
            penalty=cell("penalty", 12.0),
            priority=round(cell("priority", 0.0)),
            least=round(cell("min", 1.0)),
            most=round(cell("max", 1000.0)),
            uses={name: cell(name, 0.0) for name in resources},
            current=round(cell("current", -1.0)) if row.get("current") else None,
        )
    except ClusterError as error:
        raise ClusterError(f"{where}: {error}") from error


def write_plan(path: Path, plan: ClusterPlan) -> None:
    """Write `COLUMNS`, a row per target in the order of the demands."""
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in plan.allocations:
            row = (each.target, each.replicas, each.alone, f"{each.served:.4f}", "; ".join(each.reasons))
            writer.writerow(row)
    partial.replace(path)


def in_words(demands: list[Demand], limits: ClusterLimits, plan: ClusterPlan) -> str:
    """What is used of each limit, what the plan costs, and what giving up in proportion would have."""
    counts = plan.counts()
    lines = []
    for name, amount in limits.capacity.items():
        used = sum(each.uses.get(name, 0.0) * counts[each.target] for each in demands)
        lines.append(f"{name}: {used:g} of {amount:g}")
    spent = sum(each.price * counts[each.target] for each in demands)
    budget = "" if limits.budget is None else f" of {limits.budget:g}"
    lines.append(f"spend an hour: {spent:.2f}{budget}")
    short = sum(each.replicas < each.alone for each in plan.allocations)
    held = f"; held by {', '.join(plan.binding)}" if plan.binding else ""
    lines.append(f"{len(demands)} targets, {short} with fewer replicas than alone{held}")
    cut = proportional(demands, limits, [each.alone for each in plan.allocations])
    lines.append(
        f"expected cost an hour, unserved load included: {cost_of(demands, counts):.2f}; "
        f"with all cut in proportion {cost_of(demands, cut):.2f}"
    )
    return "\n".join(lines)
