"""How often detectors alarm where nothing is wrong, as a multiple of what was asked for.

Generated series of many kinds, in their first four weeks and over all (12 weeks of minutes, 24 of five
minutes, 52 of hours); and public data: labelled series outside of their events, a normal run, load traces.
"""

import csv
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.normal_series import KINDS, OTHER_KINDS, normal_series
from detectors.port import F64, I64, Bank
from streams.traces import read_trace

MERGE_SAMPLES = 10  # alarms this close to a counted one are part of it, as in the event scorer
DAY_MS = 86_400_000
EARLY_WEEKS = 4
RATES = {"a day": 1.0, "a week": 1 / 7, "a month": 1 / 30}
SEEDS = range(100, 104)  # constants were chosen on seeds 0 to 2

Make = Callable[[float], Bank]  # a fresh bank for an asked rate of alarms per series and day
Real = tuple[I64, F64, NDArray[np.bool_]]  # times, values, whether something is wrong


@dataclass(slots=True)
class Count:
    """Alarms given and asked for."""

    given: int = 0
    asked: float = 0.0

    @property
    def ratio(self) -> float:
        return self.given / self.asked


@dataclass(slots=True)
class Counts:
    """Alarms over a kind's first weeks and over all of it."""

    early: Count = field(default_factory=Count)
    whole: Count = field(default_factory=Count)


def merged(alarms: Sequence[int]) -> int:
    """Count alarms, those within `MERGE_SAMPLES` of a counted one not."""
    return len(counted_of(alarms))


def counted_of(alarms: Sequence[int]) -> list[int]:
    """The alarms that count: those within `MERGE_SAMPLES` of a counted one do not."""
    counted: list[int] = []
    for position in alarms:
        if not counted or position - counted[-1] >= MERGE_SAMPLES:
            counted.append(position)
    return counted


def generated(
    make: Make, rate: float, seeds: Sequence[int] = SEEDS, weeks: float | None = None
) -> dict[str, Counts]:
    """Counts by kind, those of `OTHER_KINDS` too, and of "all"; series are `weeks` long, or as they come."""
    answer: dict[str, Counts] = {}
    for seed in seeds:
        for kinds in (KINDS, OTHER_KINDS):
            for series in normal_series(seed, kinds=kinds, weeks=weeks):
                alarms = np.array(counted_of(_alarms(make(rate), series.times, series.values)))
                early = int(np.sum(alarms * series.cadence_s < EARLY_WEEKS * 604_800))
                for name in (series.kind, "all"):
                    counts = answer.setdefault(name, Counts())
                    counts.early.given += early
                    counts.early.asked += 7 * EARLY_WEEKS * rate
                    counts.whole.given += len(alarms)
                    counts.whole.asked += series.days * rate
    return answer


def real(shared: Path, make: Make, rate: float) -> dict[str, Count]:
    """Counts by data set, of what is there below `shared`; alarms within events are left out."""
    answer: dict[str, Count] = {}
    for name, series in _real_series(shared):
        count = answer.setdefault(name, Count())
        for times, values, wrong in series:
            alarms = _alarms(make(rate), times, values)
            count.given += merged([i for i in alarms if not wrong[i]])
            count.asked += float(times[-1] - times[0]) / DAY_MS * rate * float(np.mean(~wrong))
    return answer


def _alarms(bank: Bank, times: I64, values: F64) -> list[int]:
    bank.grow(1)
    alarms: list[int] = np.flatnonzero(
        bank.update(np.zeros(len(times), np.int64), times, values).alarm
    ).tolist()
    return alarms


def _real_series(shared: Path) -> Iterator[tuple[str, Iterator[Real]]]:
    data = shared / "data"
    for name, folder, read in (
        ("cloud-monitoring, outside events", data / "cloud-monitoring", _labelled),
        ("NAB (real), outside windows", data / "nab", _nab),
        ("petshop, normal run of 2 days", data / "petshop/low_traffic/noissue", _petshop),
        ("NASA web requests (5 weeks, an outage)", data / "load-traces", _nasa),
        ("load traces, not labelled", data / "load-traces/crane", _loads),
        ("CPU of 25 machines, not labelled", data / "usage", _usage),
    ):
        if folder.is_dir():
            yield name, read(folder)
        else:
            print(f"{name}: skipped, there is no {folder} (set TIDEGATE_DATA)")


def _ordered(times: I64, values: F64) -> F64:
    """Values with those behind the time of one before taken out, as ingest would."""
    return np.where(times < np.maximum.accumulate(times), np.nan, values)


def _labelled(folder: Path) -> Iterator[Real]:
    for path in sorted(folder.rglob("*.csv")):
        trace = read_trace(path)
        with path.open(newline="") as file:
            wrong = np.array([float(row["Label"]) > 0 for row in csv.DictReader(file)])
        yield trace.times, _ordered(trace.times, trace.values), wrong


def _nab(folder: Path) -> Iterator[Real]:
    windows: Mapping[str, list[list[str]]] = json.loads((folder / "labels/combined_windows.json").read_text())
    for path in sorted((folder / "data").glob("real*/*.csv")):
        trace = read_trace(path)
        wrong = np.zeros(len(trace.times), np.bool_)
        for first, last in windows[path.relative_to(folder / "data").as_posix()]:
            wrong |= (trace.times >= _ms(first)) & (trace.times <= _ms(last))
        yield trace.times, _ordered(trace.times, trace.values), wrong


def _ms(stamp: str) -> float:
    return datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp() * 1000


def _petshop(folder: Path) -> Iterator[Real]:
    with (folder / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row and row[0].replace(".", "", 1).isdigit()]
    times = np.array([int(1000 * float(row[0])) for row in rows])
    for column in range(1, len(rows[0])):
        values = np.array([float(row[column] or "nan") for row in rows])
        if np.isfinite(values).sum() > 100:
            yield times, values, np.zeros(len(times), np.bool_)


def _plain(path: Path) -> Real:
    with path.open(newline="") as file:
        rows = [(float(row["ts"]), float(row["value"])) for row in csv.DictReader(file)]
    times, values = (np.array(column) for column in zip(*rows, strict=True))
    return (1000 * times).astype(np.int64), values, np.zeros(len(times), np.bool_)


def _loads(folder: Path) -> Iterator[Real]:
    return (_plain(path) for path in sorted(folder.glob("*.csv")))


def _nasa(folder: Path) -> Iterator[Real]:
    yield _plain(folder / "nasa-http-1995.csv")


def _usage(folder: Path) -> Iterator[Real]:
    machines: dict[str, list[tuple[int, float]]] = {}
    with gzip.open(folder / "bitbrains-usage.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            machines.setdefault(row["vm"], []).append((1000 * int(row["end_s"]), float(row["cpu_usage_mhz"])))
    for rows in machines.values():
        times, values = zip(*rows, strict=True)
        yield np.array(times), np.array(values), np.zeros(len(rows), np.bool_)
