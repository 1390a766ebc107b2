"""Reading recorded series: CSV files of time and value."""

import csv
import gzip
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FIRST_MILLISECONDS = 1e11  # a number of this size is milliseconds (1973), a smaller one seconds (before 5138)


class TraceError(ValueError):
    """A file cannot be used; the text names the file, the line and what was expected."""


class Trace(NamedTuple):
    """A recorded series: times and values as written, and as numbers (Unix ms; NaN where missing)."""

    stamps: list[str]
    texts: list[str]
    times: NDArray[np.int64]
    values: NDArray[np.float64]


def read_trace(path: Path) -> Trace:
    """Read the first two columns of a CSV (or .csv.gz) with a header row: time and value, in file order.

    Times are ISO 8601 (UTC where they name no zone) or Unix seconds or milliseconds; a missing value is
    an empty cell.

    Raises:
        TraceError: the file cannot be read, or a row is not time and value.
    """
    stamps: list[str] = []
    texts: list[str] = []
    times: list[int] = []
    values: list[float] = []
    try:
        with open_text(path, "rt") as file:
            reader = csv.reader(file)
            if next(reader, None) is None:
                raise TraceError(f"{path}: empty, expected a header row and rows of time and value")
            for row in reader:
                if not row:
                    continue
                where = f"{path}, line {reader.line_num}"
                if len(row) < 2:
                    raise TraceError(f"{where}: one column, expected time and value")
                stamps.append(row[0])
                texts.append(row[1])
                times.append(milliseconds(row[0], where))
                values.append(number(row[1], where))
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, EOFError, csv.Error) as error:
        raise TraceError(f"{path}: not a readable CSV file ({error})") from error
    return Trace(stamps, texts, np.array(times, dtype=np.int64), np.array(values, dtype=np.float64))


def open_text(path: Path, mode: Literal["rt", "wt"]) -> IO[str]:
    """Open a text file, compressed where its name ends with .gz (or .gz.part)."""
    if path.name.endswith((".gz", ".gz.part")):
        return gzip.open(path, mode, encoding="utf-8", newline="")
    return path.open(mode, encoding="utf-8", newline="")


def milliseconds(text: str, where: str) -> int:
    """A time as Unix ms: ISO 8601, UTC where it names no zone, or Unix seconds or milliseconds.

    Raises:
        TraceError: it is none of these; the text begins with `where`.
    """
    try:
        number = float(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text.strip())
        except ValueError:
            raise TraceError(
                f"{where}: time {text!r} is neither ISO 8601 nor Unix seconds or milliseconds"
            ) from None
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(aware.timestamp() * 1000)
    if not math.isfinite(number):
        raise TraceError(f"{where}: time {text!r} is not finite")
    return round(number if abs(number) >= FIRST_MILLISECONDS else number * 1000)


def number(text: str, where: str) -> float:
    """A number, NaN where the text is empty.

    Raises:
        TraceError: it is not a number; the text begins with `where`.
    """
    if not text.strip():
        return math.nan
    try:
        return float(text)
    except ValueError:
        raise TraceError(f"{where}: value {text!r} is not a number; leave it empty where missing") from None
