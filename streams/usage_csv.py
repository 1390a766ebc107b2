"""Reading recorded usage: a CSV of container, time and value, and the times it ran out of memory."""

import csv
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from streams.traces import TraceError, milliseconds, number, open_text


class Usage(NamedTuple):
    """`container` used `value`, held for `duration_s` (None: since its sample before) up to `ts` (Unix s)."""

    container: str
    ts: float
    value: float
    duration_s: float | None
    killed: bool


class Columns(NamedTuple):
    """Names of a usage file's columns; None: by position (the first, the second, the last)."""

    container: str | None = None
    time: str | None = None
    value: str | None = None
    duration: str = "duration_s"
    killed: str = "oom"


def read_usage(path: Path, names: Columns) -> Iterator[Usage]:
    """Each row of a CSV or .csv.gz with a header, in file order.

    Two columns are time and value of one container, named as the file. With more, the first is the
    container, the second the time, the last the value, unless `names` says otherwise; the columns
    `names.duration` (s) and `names.killed` (not 0: it ran out of memory) may be there. Times are ISO 8601
    or Unix s or ms. An empty value is a missing sample: NaN.

    Raises:
        TraceError: the file cannot be read, a named column is absent, or a cell is not what it should be.
    """
    try:
        with open_text(path, "rt") as file:
            reader = csv.DictReader(file)
            header = list(reader.fieldnames or ())
            if len(header) < 2:
                raise TraceError(f"{path}: expected a header row with container, time and value")
            chosen = _chosen(path, header, names)
            for row in reader:
                yield _row(row, chosen, f"{path}, line {reader.line_num}", path)
    except OSError as error:
        raise TraceError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, EOFError, csv.Error) as error:
        raise TraceError(f"{path}: not a readable CSV file ({error})") from error


def _chosen(path: Path, header: list[str], names: Columns) -> Columns:
    for given in (names.container, names.time, names.value):
        if given is not None and given not in header:
            raise TraceError(f"{path}: there is no column {given!r}; there are {', '.join(header)}")
    optional = (names.duration, names.killed)
    plain = [name for name in header if name not in optional]
    if len(plain) < 2:
        raise TraceError(f"{path}: columns {', '.join(header)}: expected container, time and value")
    several = len(plain) > 2
    return Columns(
        container=names.container or (plain[0] if several else None),
        time=names.time or plain[1 if several else 0],
        value=names.value or plain[-1],
        duration=names.duration if names.duration in header else "",
        killed=names.killed if names.killed in header else "",
    )


def _row(row: Mapping[str, str | None], names: Columns, where: str, path: Path) -> Usage:
    assert names.time is not None  # noqa: S101
    assert names.value is not None  # noqa: S101
    cells = {name: (row.get(name) or "").strip() for name in names if name}
    duration = number(cells[names.duration], where) if names.duration else math.nan
    return Usage(
        container=cells[names.container] if names.container else path.name.partition(".")[0],
        ts=milliseconds(cells[names.time], where) / 1000.0,
        value=number(cells[names.value], where),
        duration_s=None if math.isnan(duration) else duration,
        killed=bool(names.killed) and cells[names.killed] not in ("", "0", "false", "False"),
    )
