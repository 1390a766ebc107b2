"""What being told does: false alarms and recall after feedback on a tenth of the alarms, on data held back.

`python -m bench.feedback [--json FILE] [--share S]` detects on the first half of each series, tells a tenth
of the alarms (drawn at random, several times) what they were, by the labels, and scores the second half with
and without having been told. The operational metrics are read from ../shared beside the project, or from the
folder that TIDEGATE_DATA names, and are skipped where that is not there.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.calibration import MERGE_SAMPLES, merged
from bench.detection import SHARED
from detectors.port import F64, I64, Bool, Scores, TunableBank
from detectors.registry import make_bank
from schemas import Feedback
from schemas.event import Side, Verdict
from streams.alerts import AlertBook
from streams.config import AlertConfig
from streams.feedback import Told, hear
from streams.rules import Rules

SHARE = 0.1
DRAWS = 20
DAY_MS = 86_400_000
ANSWER_MS = 3_600_000  # somebody says so long after an alarm what it was


@dataclass(frozen=True)
class Labelled:
    """One series: its metric, times (Unix ms), values, and which samples belong to an event."""

    metric: str
    times: I64
    values: F64
    event: Bool

    @property
    def half(self) -> int:
        return len(self.times) // 2


class Score(NamedTuple):
    """Of second halves: events, those found, false alarms, series-days."""

    events: int
    found: int
    false_alarms: int
    days: float


def operations() -> Iterator[Labelled]:
    """The labelled operational metrics; series of one domain are of one metric."""
    for path in sorted((SHARED / "data/cloud-monitoring").rglob("*.csv")):
        with path.open(newline="") as file:
            known = (each for each in csv.DictReader(file) if each["Value"])
            rows = [(each["TimeStamp"], float(each["Value"]), each["Label"] == "1") for each in known]
        stamps, values, event = zip(*rows, strict=True)
        seconds = [datetime.fromisoformat(stamp).replace(tzinfo=UTC).timestamp() for stamp in stamps]
        times = (1000 * np.array(seconds)).astype(np.int64)
        yield Labelled(path.parent.name, times, np.array(values), np.array(event, np.bool_))


def fleet(seed: int, hosts: int = 20, weeks: int = 4) -> Iterator[Labelled]:
    """Generated metrics of a fleet: noise that is nothing, of three kinds, and events that are something.

    Now and then a host's value leaps for a sample: a job, nobody's business, upwards in one metric and
    downwards in another. Events last an hour and go in the other direction, or further.
    """
    count = weeks * 7 * 288
    for number, (metric, nuisance) in enumerate((("cpu", 1.0), ("free_memory", -1.0), ("latency", 1.0))):
        for host in range(hosts):
            rng = np.random.default_rng([seed, number, host])
            values = 100.0 + 10.0 * np.sin(np.arange(count) * 2 * np.pi / 288) + rng.normal(0.0, 2.0, count)
            leaps = rng.random(count) < 1.0 / 288 / 4
            values[leaps] += nuisance * rng.uniform(15.0, 30.0, int(leaps.sum()))
            event = np.zeros(count, np.bool_)
            for start in rng.choice(count - 400, 2 * weeks) + 300:
                event[start : start + 12] = True
                values[start : start + 12] += -nuisance * 25.0 if metric != "latency" else 80.0
            yield Labelled(metric, 300_000 * np.arange(count, dtype=np.int64), values, event)


class Alarm(NamedTuple):
    """An alarm on a sample of a series, those that follow it merged into it."""

    row: int
    at: int
    side: Side


class Group:
    """The detectors of one metric's series, and what they alarm on in the first half of each."""

    def __init__(self, series: Sequence[Labelled]) -> None:
        self.series = series
        self.bank: TunableBank = make_bank()
        self.bank.grow(len(series))
        self.book = AlertBook(Rules(AlertConfig()))
        self.book.grow(len(series))
        self.alarms: list[Alarm] = []
        for row, each in enumerate(series):
            scores = self._detect(row, slice(0, each.half))
            for at in _counted(np.flatnonzero(scores.alarm).tolist()):
                self.alarms.append(
                    Alarm(row, at, "below" if each.values[at] < scores.expected[at] else "above")
                )

    def _detect(self, row: int, part: slice) -> Scores:
        each = self.series[row]
        times, values = each.times[part], each.values[part]
        rows = np.full(len(times), row)
        scores = self.bank.update(rows, times, values)
        strength = scores.evidence.max(axis=1).astype(np.float64)
        strength[values < scores.expected] *= -1.0
        outside = (values < scores.lower) | (values > scores.upper)
        self.book.step(rows, times, scores.alarm, outside, strength)
        return scores

    def score(self, told: Sequence[Alarm]) -> Score:
        """Score the second halves, having heard what these alarms of the first were."""
        rows = np.arange(len(self.series))
        done = np.zeros(len(rows), np.int64)
        self._begin()
        spoken = sorted((int(self.series[alarm.row].times[alarm.at]), alarm) for alarm in told)
        for number, (ts, alarm) in enumerate(spoken, 1):
            for row, each in enumerate(self.series):  # all go on until somebody has spoken
                until = min(each.half, int(np.searchsorted(each.times, ts + ANSWER_MS, side="right")))
                if until > done[row]:
                    self._detect(row, slice(int(done[row]), until))
                    done[row] = until
            verdict: Verdict = "real" if self.series[alarm.row].event[alarm.at] else "false-alarm"
            word = Feedback(series=str(alarm.row), ts=ts, verdict=verdict, side=alarm.side)
            hear(Told(number, word, None), alarm.row, rows, self.book.rows, self.bank)
        for row, each in enumerate(self.series):
            self._detect(row, slice(int(done[row]), each.half))
        return _pooled([self._second(row) for row in range(len(rows))])

    def _begin(self) -> None:
        for row in range(len(self.series)):
            self.bank.reset(row)
        self.book.rows[:] = np.zeros((), self.book.rows.dtype)

    def _second(self, row: int) -> Score:
        each = self.series[row]
        alarm = self._detect(row, slice(each.half, None)).alarm
        event = each.event[each.half :]
        starts = np.flatnonzero(event & ~np.r_[False, event[:-1]])
        ends = np.flatnonzero(event & ~np.r_[event[1:], False])
        found = sum(bool(alarm[a : b + 1].any()) for a, b in zip(starts, ends, strict=True))
        false = merged(np.flatnonzero(alarm & ~event).tolist())
        days = float(each.times[-1] - each.times[each.half]) / DAY_MS
        return Score(len(starts), found, false, days)


def _counted(alarms: Sequence[int]) -> list[int]:
    """The alarms that count: those within `MERGE_SAMPLES` of a counted one are part of it."""
    counted: list[int] = []
    for at in alarms:
        if not counted or at - counted[-1] >= MERGE_SAMPLES:
            counted.append(at)
    return counted


def measure(series: Sequence[Labelled], share: float, draws: int = DRAWS) -> dict[str, float]:
    """False alarms per series-day and recall on the second halves, before and after, means over the draws."""
    names = sorted({each.metric for each in series})
    groups = [Group([each for each in series if each.metric == name]) for name in names]
    alarms = [(group, alarm) for group in groups for alarm in group.alarms]
    before = _pooled([group.score([]) for group in groups])
    after = []
    for draw in range(draws):
        rng = np.random.default_rng(draw)
        chosen = sorted(rng.choice(len(alarms), max(1, round(share * len(alarms))), replace=False).tolist())
        told = [alarms[i] for i in chosen]
        scores = [group.score([alarm for own, alarm in told if own is group]) for group in groups]
        after.append(_pooled(scores))
    rates = [each.false_alarms / each.days for each in after]
    recalls = [each.found / each.events for each in after]
    return {
        "alarms": len(alarms),
        "told": max(1, round(share * len(alarms))),
        "events": before.events,
        "recall_before": before.found / before.events,
        "recall_after": float(np.mean(recalls)),
        "recall_worst": min(recalls),
        "false_alarms_before": before.false_alarms / before.days,
        "false_alarms_after": float(np.mean(rates)),
        "false_alarms_worst": max(rates),
    }


def _pooled(scores: Sequence[Score]) -> Score:
    return Score(*(sum(column) for column in zip(*scores, strict=True)))


def _change(before: float, after: float, worst: float) -> str:
    return f"{before:.3f} -> {after:.3f} (worst {worst:.3f})"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--share", type=float, default=SHARE, help="of the alarms, that are told")
    options = parser.parse_args()
    data = {"generated fleet": list(fleet(1))}
    if (SHARED / "data/cloud-monitoring").is_dir():
        data["operational metrics"] = list(operations())
    else:
        print(f"operational metrics: skipped, there is no {SHARED}/data/cloud-monitoring (set TIDEGATE_DATA)")
    figures = {name: measure(series, options.share) for name, series in data.items()}
    print(
        f"\nFeedback on {options.share:.0%} of the alarms of the first halves; figures of the second halves"
    )
    print(f"{'':<22}{'told':>12}{'false alarms a day':>34}{'recall':>34}")
    for name, f in figures.items():
        told = f"{f['told']} of {f['alarms']}"
        rate = _change(f["false_alarms_before"], f["false_alarms_after"], f["false_alarms_worst"])
        recall = _change(f["recall_before"], f["recall_after"], f["recall_worst"])
        print(f"{name:<22}{told:>12}{rate:>34}{recall:>34}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
