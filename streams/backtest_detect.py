"""Runs a detector over recorded series, file by file, as it would have run live."""

import csv
import gzip
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal

import numpy as np

from detectors.port import F64, I64, Bank, Scores

COLUMNS = ("timestamp", "value", "anomaly_score", "alarm", "expected", "lower", "upper")
SUFFIXES = (".csv", ".csv.gz")
FIRST_MILLISECONDS = 1e11  # a number of this size is milliseconds (1973), a smaller one seconds (before 5138)


class BacktestError(Exception):
    """The input cannot be replayed; the text names the file, the line and what was expected."""


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
        BacktestError: no file, or a row that is not time and value.
    """
    paths = sorted(path for path in in_dir.rglob("*") if path.is_file() and path.name.endswith(SUFFIXES))
    if not paths:
        raise BacktestError(
            f"{in_dir}: no .csv or .csv.gz file below it; give the folder that holds the series"
        )
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
    stamps, texts, times, values = _read(source)
    in_order = times >= np.maximum.accumulate(times) if len(times) else np.zeros(0, dtype=np.bool_)
    usable = np.flatnonzero(in_order & np.isfinite(values))
    scores = bank.update(np.zeros(len(usable), dtype=np.int64), times[usable], values[usable])
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with _open(part, "wt", zipped=target.name.endswith(".gz")) as file:
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


def _read(path: Path) -> tuple[list[str], list[str], I64, F64]:
    """Times and values of a file, as text and as numbers (ms, and NaN where there is none)."""
    stamps: list[str] = []
    texts: list[str] = []
    times: list[int] = []
    values: list[float] = []
    try:
        with _open(path, "rt", zipped=path.name.endswith(".gz")) as file:
            reader = csv.reader(file)
            if next(reader, None) is None:
                raise BacktestError(f"{path}: empty, expected a header row and rows of time and value")
            for row in reader:
                if not row:
                    continue
                if len(row) < 2:
                    raise BacktestError(
                        f"{path}, line {reader.line_num}: one column, expected time and value"
                    )
                stamps.append(row[0])
                texts.append(row[1])
                times.append(_milliseconds(row[0], path, reader.line_num))
                values.append(_number(row[1], path, reader.line_num))
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, csv.Error) as error:
        raise BacktestError(f"{path}: not a readable CSV file ({error})") from error
    return stamps, texts, np.array(times, dtype=np.int64), np.array(values, dtype=np.float64)


def _milliseconds(text: str, path: Path, line: int) -> int:
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise BacktestError(
                f"{path}, line {line}: time {text!r} is neither ISO 8601 nor Unix seconds or milliseconds"
            ) from None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    if not math.isfinite(number):
        raise BacktestError(f"{path}, line {line}: time {text!r} is not finite")
    return round(number if abs(number) >= FIRST_MILLISECONDS else number * 1000)


def _number(text: str, path: Path, line: int) -> float:
    if not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise BacktestError(
            f"{path}, line {line}: value {text!r} is not a number; leave it empty where missing"
        ) from None


def _open(path: Path, mode: Literal["rt", "wt"], *, zipped: bool) -> IO[str]:
    if zipped:
        return gzip.open(path, mode, encoding="utf-8", newline="")
    return path.open(mode, encoding="utf-8", newline="")
