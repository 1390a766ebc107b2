"""Runs a detector over recorded series, file by file, as it would have run live."""

import csv
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from detectors.port import Bank, Scores
from streams.traces import TraceError, open_text, read_trace

COLUMNS = ("timestamp", "value", "anomaly_score", "alarm", "expected", "lower", "upper")
SUFFIXES = (".csv", ".csv.gz")


def backtest(
    in_dir: Path,
    out_dir: Path,
    make: Callable[[], Bank],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Score each CSV below `in_dir` into the same relative path below `out_dir`.

    Input: a header row, then time (ISO 8601, UTC where it names no zone; or Unix s or ms) and value in
    the first two columns; `.csv` or `.csv.gz`. Output: `COLUMNS`, one row per input row in its order,
    times and values as they were written. A missing value, an infinite one and a row behind the time
    of the row before it are not learnt: score 0, no alarm, no band. Every file starts with a fresh
    model. `progress(done, total)` is called with counts of files.

    Raises:
        TraceError: no file, or a row that is not time and value.
    """
    paths = sorted(path for path in in_dir.rglob("*") if path.is_file() and path.name.endswith(SUFFIXES))
    if not paths:
        raise TraceError(f"{in_dir}: no .csv or .csv.gz file below it; give the folder that holds the series")
    bank = make()
    bank.grow(1)
    for done, path in enumerate(paths):
        if progress is not None:
            progress(done, len(paths))
        bank.reset(0)
        backtest_file(path, out_dir / path.relative_to(in_dir), bank)
    if progress is not None:
        progress(len(paths), len(paths))


def backtest_file(source: Path, target: Path, bank: Bank) -> None:
    """Score one file with row 0 of `bank`; the target appears only when it is whole."""
    stamps, texts, times, values = read_trace(source)
    in_order = times >= np.maximum.accumulate(times) if len(times) else np.zeros(0, dtype=np.bool_)
    usable = np.flatnonzero(in_order & np.isfinite(values))
    scores = bank.update(np.zeros(len(usable), dtype=np.int64), times[usable], values[usable])
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with open_text(part, "wt") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        cells = dict(zip(usable.tolist(), _cells(scores), strict=True))
        nothing = ("0", "0", "", "", "")
        for row, (stamp, text) in enumerate(zip(stamps, texts, strict=True)):
            writer.writerow((stamp, text, *cells.get(row, nothing)))
    part.replace(target)


def _cells(scores: Scores) -> Iterator[tuple[str, ...]]:
    """The last five columns of each scored row; a score that the model could not give is 0."""
    score = np.nan_to_num(scores.score, nan=0.0).tolist()
    alarm = scores.alarm.tolist()
    bands = np.stack([scores.expected, scores.lower, scores.upper], axis=1).tolist()
    for i in range(len(score)):
        band = ("" if math.isnan(bound) else f"{bound:.9g}" for bound in bands[i])
        yield (f"{score[i]:.9g}", str(int(alarm[i])), *band)
