"""Replays a recorded load through a target's scaler and writes the decisions it would have made."""

import csv
from collections.abc import Callable
from pathlib import Path

import msgspec

from streams.scale_config import ScaleConfig
from streams.scaling import TargetForecast, TargetScaler
from streams.traces import read_trace

COLUMNS = ("ts", "replicas")

See = Callable[[int, float, TargetForecast | None, int | None], None]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay did. `capacity` is the last one used; `by_rule` counts decisions per rule."""

    rows: int
    changes: int
    replica_hours: float
    capacity: float | None
    by_rule: dict[str, int]
    skipped: int


def backtest(
    trace: Path,
    out: Path,
    config: ScaleConfig,
    progress: Callable[[int, int], None] | None = None,
    see: See | None = None,
) -> Summary:
    """Replay `trace` (header, then time and load in the first two columns; .csv or .csv.gz).

    Writes `ts,replicas` to `out`: the trace's own time text of each row at which the desired count
    changes, decided from rows up to that one only. Where `config.capacity` is absent, a replica's
    capacity is the highest load up to the row over `config.peak_replicas`. An empty or non-finite load
    is a missing sample; a row that is not later than the one before it is skipped and counted.
    `progress(rows, all)` is called now and then, `see` with each row: its time (Unix ms), its load, the
    forecast that was made of it, and the replicas that are wanted from then on.

    Raises:
        TraceError: no header, or a row that is not time and number.
    """
    recorded = read_trace(trace)
    loads = recorded.values.tolist()
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
        for text, ts_ms, load in zip(recorded.stamps, recorded.times.tolist(), loads, strict=True):
            rows += 1
            if last is not None and ts_ms <= last:
                skipped += 1
                continue
            if last is not None and replicas is not None:
                paid_ms += (ts_ms - last) * replicas
            last = ts_ms
            forecast, decision = scaler.observe(ts_ms, load, replicas)
            if decision is not None:
                by_rule[decision.rule] = by_rule.get(decision.rule, 0) + 1
                if decision.replicas != replicas:
                    changes += replicas is not None
                    replicas = decision.replicas
                    writer.writerow((text, replicas))
            if see is not None:
                see(ts_ms, load, forecast, replicas)
            if progress is not None and rows % 1000 == 0:
                progress(rows, len(loads))
    partial.replace(out)
    return Summary(
        rows=rows,
        changes=changes,
        replica_hours=paid_ms / 3_600_000.0,
        capacity=scaler.capacity,
        by_rule=by_rule,
        skipped=skipped,
    )
