"""Reading jobs, nodes and prices from CSV files, and writing placements."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from planners.placement import Curve, Job, Node, Placement, PlacementError, Refusal
from planners.placement.values import GPU
from streams.traces import TraceError, milliseconds, number, open_text

COLUMNS = ("job", "node", "start", "end", "gpus", "reason")
TRUE, FALSE = ("1", "true", "yes"), ("", "0", "false", "no")

Row = Mapping[str, str]


class Jobs(NamedTuple):
    """The jobs of a file, those that cannot be planned with, and whether its times are ISO 8601 text."""

    jobs: list[Job]
    refusals: list[Refusal]
    iso: bool


def read_jobs(path: Path) -> Jobs:
    """Jobs from a CSV with a header; docs/scheduling.md tells the columns.

    Raises:
        TraceError: the file cannot be read, a column is absent, or a cell is not what it should be.
    """
    jobs, refusals, iso = [], [], False
    for where, row in _rows(path):
        name = _text(row, where, "job", "name")
        arrival_text = _text(row, where, "arrival", "creation_time")
        iso = iso or not _is_number(arrival_text)
        duration = _duration(row, where)
        if math.isnan(duration):
            refusals.append(Refusal(job=name, reason="its duration is not known"))
            continue
        deadline = row.get("deadline", "")
        gpus = _amount(row, where, {"gpu": 1.0, "num_gpu": 1.0}, 0.0)
        milli = _amount(row, where, {"gpu_milli": 1.0}, float(GPU))
        if gpus < 1.0:  # a part of a GPU, told as a fraction
            gpus, milli = math.ceil(gpus), gpus * GPU if gpus else milli
        models = row.get("gpu_model") or row.get("gpu_spec") or ""
        deferrable = _flag(row, where, "deferrable", bool(deadline))
        try:
            job = Job(
                name=name,
                cpu_milli=math.ceil(_amount(row, where, {"cpu_milli": 1.0, "cpu": 1000.0})),
                memory_mib=math.ceil(_amount(row, where, {"memory_mib": 1.0, "memory": 1.0})),
                gpus=math.ceil(gpus),
                gpu_milli=math.ceil(milli) if gpus else GPU,
                gpu_models=frozenset(each for each in models.split("|") if each),
                arrival_s=_seconds(arrival_text, where),
                duration_s=duration,
                deadline_s=_seconds(deadline, where) if deadline else None,
                priority=_amount(row, where, {"priority": 1.0}, 1.0),
                deferrable=deferrable,
            )
        except PlacementError as error:
            raise TraceError(f"{where}: {error}") from error
        jobs.append(job)
    return Jobs(jobs, refusals, iso)


def read_nodes(path: Path) -> list[Node]:
    """Nodes from a CSV with a header; raises as `read_jobs` does."""
    nodes = []
    for where, row in _rows(path):
        try:
            node = Node(
                name=_text(row, where, "node", "sn", "name"),
                cpu_milli=math.floor(_amount(row, where, {"cpu_milli": 1.0, "cpu": 1000.0})),
                memory_mib=math.floor(_amount(row, where, {"memory_mib": 1.0, "memory": 1.0})),
                gpus=math.floor(_amount(row, where, {"gpu": 1.0, "num_gpu": 1.0}, 0.0)),
                gpu_model=row.get("gpu_model") or row.get("model") or "",
                price=_amount(row, where, {"price": 1.0}) if row.get("price") else None,
                power_kw=_amount(row, where, {"power_kw": 1.0}, 0.0),
            )
        except PlacementError as error:
            raise TraceError(f"{where}: {error}") from error
        nodes.append(node)
    return nodes


def read_prices(path: Path, carbon_price: float) -> Curve:
    """A price curve from a CSV of `ts,price[,carbon]`; raises as `read_jobs` does, and CurveError."""
    times, prices, carbon = [], [], []
    for where, row in _rows(path):
        times.append(_seconds(_text(row, where, "ts", "time", "timestamp"), where))
        prices.append(_amount(row, where, {"price": 1.0}, 1.0))
        carbon.append(_amount(row, where, {"carbon": 1.0}, 0.0))
    return Curve(times, prices, carbon, carbon_price)


def write_placements(
    path: Path, placements: Sequence[Placement], refusals: Sequence[Refusal], iso: bool
) -> None:
    """Write `COLUMNS`: placements by start, then jobs without a node and the reason."""
    partial = path.with_name(path.name + ".part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in placements:
            gpus = ";".join(map(str, each.gpus))
            writer.writerow(
                (each.job, each.node, _stamp(each.start_s, iso), _stamp(each.end_s, iso), gpus, "")
            )
        for refusal in refusals:
            writer.writerow((refusal.job, "", "", "", "", refusal.reason))
    partial.replace(path)


def _rows(path: Path) -> Iterable[tuple[str, Row]]:
    try:
        with open_text(path, "rt") as file:
            reader = csv.DictReader(file)
            if not reader.fieldnames:
                raise TraceError(f"{path}: empty, expected a header row")
            for row in reader:
                cells = {name: (cell or "").strip() for name, cell in row.items() if isinstance(name, str)}
                yield f"{path}, line {reader.line_num}", cells
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, EOFError, csv.Error) as error:
        raise TraceError(f"{path}: not a readable CSV file ({error})") from error


def _text(row: Row, where: str, *names: str) -> str:
    for name in names:
        if row.get(name):
            return row[name]
    raise TraceError(f"{where}: no {names[0]}; expected the column {' or '.join(names)}")


def _amount(row: Row, where: str, units: Mapping[str, float], default: float | None = None) -> float:
    """The first column of `units` that holds a number, times its unit; `default` where none does."""
    for name, unit in units.items():
        value = number(row.get(name, ""), where)
        if not math.isnan(value):
            if not 0.0 <= value < math.inf:
                raise TraceError(f"{where}: {name} is {value}, expected a number of zero or more")
            return value * unit
    if default is None:
        raise TraceError(f"{where}: no {next(iter(units))}; expected the column {' or '.join(units)}")
    return default


def _flag(row: Row, where: str, name: str, default: bool) -> bool:
    if name not in row:
        return default
    text = row[name].lower()
    if text not in TRUE + FALSE:
        raise TraceError(f"{where}: {name} is {text!r}, expected true or false")
    return text in TRUE


def _duration(row: Row, where: str) -> float:
    """Seconds; NaN where neither a duration nor recorded start and end are there."""
    given = number(row.get("duration", ""), where)
    if math.isnan(given) and row.get("scheduled_time") and row.get("deletion_time"):
        return _seconds(row["deletion_time"], where) - _seconds(row["scheduled_time"], where)
    return given


def _seconds(text: str, where: str) -> float:
    # A number is seconds from any origin, as recorded jobs have it; text is a date.
    return float(text) if _is_number(text) else milliseconds(text, where) / 1000.0


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _stamp(at_s: float, iso: bool) -> str:
    if iso:
        return datetime.fromtimestamp(at_s, UTC).isoformat()
    return str(int(at_s)) if at_s == int(at_s) else repr(at_s)
