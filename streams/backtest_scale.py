"""Replays a recorded load through a target's scaler and writes the decisions it would have made."""

import csv
import gzip
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from streams.scaling import ScaleConfig, TargetScaler

COLUMNS = ("ts", "replicas")
FIRST_MILLISECONDS = 1e11  # a number of this size is milliseconds (1973), a smaller one seconds


class TraceError(ValueError):
    """The trace cannot be replayed; the text names the file, the line and what was expected."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did. `capacity` is the last one used; `by_rule` counts decisions per rule."""

    rows: int
    changes: int
    replica_hours: float
    capacity: float | None
    by_rule: dict[str, int]
    skipped: int


def backtest(
    trace: Path, out: Path, config: ScaleConfig, progress: Callable[[int], None] | None = None
) -> Summary:
    """Replay `trace` (header, then time and load in the first two columns; .csv or .csv.gz).

    Writes `ts,replicas` to `out`: the trace's own time text of each row at which the desired count
    changes, decided from rows up to that one only. Where `config.capacity` is absent, a replica's
    capacity is the highest load up to the row over `config.peak_replicas`. An empty or non-finite load
    is a missing sample; a row that is not later than the one before it is skipped and counted.
    `progress(rows)` is called now and then.

    Raises:
        TraceError: no header, or a row that is not time and number.
    """
    scaler = TargetScaler(config)
    replicas: int | None = None
    changes = skipped = rows = 0
    paid_ms = 0.0
    last: int | None = None
    by_rule: dict[str, int] = {}
    partial = out.with_name(out.name + ".part")
    with partial.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for text, ts_ms, load in read_trace(trace):
            rows += 1
            if last is not None and ts_ms <= last:
                skipped += 1
                continue
            if last is not None and replicas is not None:
                paid_ms += (ts_ms - last) * replicas
            last = ts_ms
            _, decision = scaler.observe(ts_ms, load, replicas)
            if decision is not None:
                by_rule[decision.rule] = by_rule.get(decision.rule, 0) + 1
                if decision.replicas != replicas:
                    changes += replicas is not None
                    replicas = decision.replicas
                    writer.writerow((text, replicas))
            if progress is not None and rows % 1000 == 0:
                progress(rows)
    partial.replace(out)
    return Summary(
        rows=rows,
        changes=changes,
        replica_hours=paid_ms / 3_600_000.0,
        capacity=scaler.capacity,
        by_rule=by_rule,
        skipped=skipped,
    )


def read_trace(path: Path) -> Iterator[tuple[str, int, float]]:
    """Rows of a trace as (time text, Unix ms, load); not a number where the load is empty."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        reader = csv.reader(file)
        if next(reader, None) is None:
            raise TraceError(f"{path} is empty: expected a header and rows of time and load")
        for row in reader:
            if not row:
                continue
            where = f"{path}, line {reader.line_num}"
            if len(row) < 2:
                raise TraceError(f"{where}: expected time and load, found {','.join(row)!r}")
            yield row[0], _milliseconds(row[0], where), _load(row[1], where)


def _milliseconds(text: str, where: str) -> int:
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise TraceError(f"{where}: time {text!r} is neither seconds nor ISO 8601") from None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000.0)
    if not math.isfinite(number):
        raise TraceError(f"{where}: time {text!r} is not finite")
    return round(number if abs(number) > FIRST_MILLISECONDS else number * 1000.0)


def _load(text: str, where: str) -> float:
    if text.strip() == "":
        return math.nan
    try:
        number = float(text)
    except ValueError:
        raise TraceError(
            f"{where}: load {text!r} is not a number; leave it empty where it is missing"
        ) from None
    return number if math.isfinite(number) else math.nan
