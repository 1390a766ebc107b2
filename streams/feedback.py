"""What people say of alarms, and how far that moves the thresholds of a series and of those of its metric.

A weak false alarm raises the threshold on the side that it was on to just above it: most are barely beyond
the threshold, what is real seldom is. A strong one raises it a little only, since no threshold would tell it
from what is real. An alarm that was real takes some of that back, and so does what was missed, which lowers
the threshold below what was calibrated too. Series of the same metric move by a share of it. See
docs/detection.md for what that does.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.port import TunableBank
from schemas import Feedback
from schemas.event import Side, Verdict
from streams.controls import Placed

CODES: dict[Verdict, int] = {"false-alarm": 1, "real": 2, "missed": 3}

MARGIN = 0.03  # of the logarithm of the threshold, beyond the alarm
WEAK = 0.4  # logarithm of the strength up to which such an alarm is not to come again
STRONG_SHARE = 0.25  # of WEAK, where it was stronger: no threshold tells it from what is real
REAL_STEP = -0.1
MISSED_STEP = -0.25
GROUP_SHARE = 0.25
LOWEST, HIGHEST = -0.5, 1.5  # bounds of the logarithm: a threshold times 0.6 to 4.5
NEAR_MS = 900_000  # feedback belongs to an episode that begins or ends so close


class Told(NamedTuple):
    """One word as it counts in this partition: `before` is what was said of the same moment earlier."""

    number: int
    word: Feedback
    before: Verdict | None


def telling(placed: Sequence[Placed]) -> list[Told]:
    """The feedback among `placed`, without what only repeats the last word on the same moment."""
    last: dict[tuple[str, int], Verdict] = {}
    found = []
    for each in placed:
        word = each.what
        if isinstance(word, Feedback):
            key = (word.series, word.ts)
            before = last.get(key)
            if before != word.verdict:
                last[key] = word.verdict
                found.append(Told(each.number, word, before))
    return found


def move(verdict: Verdict | None, strength: float) -> float:
    """By how much a word on an alarm of this strength moves the logarithm of the series' threshold."""
    match verdict:
        case "false-alarm":
            beyond = math.log(max(strength, 1.0))
            return MARGIN + (beyond if beyond <= WEAK else STRONG_SHARE * WEAK)
        case "real":
            return REAL_STEP
        case "missed":
            return MISSED_STEP
        case _:
            return 0.0


class Heard(NamedTuple):
    """A word, and what the thresholds of its series below and above are multiplied by since."""

    word: Feedback
    below: float
    above: float


def hear(
    told: Told, own: int | None, rows: NDArray[np.int64], alerts: NDArray[np.void], bank: TunableBank
) -> Heard | None:
    """Move the thresholds of `rows`, of one metric; row `own` is that of the series itself, where it is here.

    `alerts` are the rows of the alert book. Rows in which the word counts already are left as they are.
    Returns how the series itself stands, where it is here.
    """
    for row in rows[alerts["words"][rows] < told.number].tolist():
        alert = alerts[row]
        alert["words"] = told.number
        moved = _own(told, alert) if row == own else _others(told)
        sides = [
            _bounded(was, by, told.word.verdict) for was, by in zip(bank.tuning(row), moved, strict=True)
        ]
        bank.tune(np.array([row]), np.array(sides[:1]), np.array(sides[1:]))
    if own is None or own not in rows:
        return None
    return Heard(told.word, *(math.exp(side) for side in bank.tuning(own)))


def _bounded(was: float, by: float, verdict: Verdict) -> float:
    """What is real takes back what was raised; only what was missed makes a series more sensitive."""
    lowest = LOWEST if verdict == "missed" or by > 0 else min(0.0, was)
    return min(HIGHEST, max(lowest, was + by))


def _own(told: Told, alert: np.void) -> tuple[float, float]:
    """Of the series that the word is about: by its episode, which may have been spoken of before."""
    slot = episode(alert, told.word.ts)
    if slot is None:
        by = move(told.word.verdict, 1.0) - move(told.before, 1.0)
        return _sided(told.word.side, by)
    peak = float(alert["peak"][slot])
    side: Side | None = told.word.side or ("above" if peak > 0 else "below" if peak < 0 else None)
    now = _sided(side, move(told.word.verdict, abs(peak)))
    was = alert["moved"][slot].tolist()
    alert["moved"][slot] = now
    alert["verdict"][slot] = CODES[told.word.verdict]
    return now[0] - was[0], now[1] - was[1]


def _others(told: Told) -> tuple[float, float]:
    by = GROUP_SHARE * (move(told.word.verdict, 1.0) - move(told.before, 1.0))
    return _sided(told.word.side, by)


def _sided(side: Side | None, by: float) -> tuple[float, float]:
    return (0.0 if side == "above" else by, 0.0 if side == "below" else by)


def episode(alert: np.void, ts: int) -> int | None:
    """The episode of a row that a moment belongs to; None where none is near."""
    begin, end = alert["begin"], alert["end"]
    distance = np.maximum(np.maximum(begin - ts, ts - end), 0)
    distance[begin == 0] = NEAR_MS + 1
    slot = int(np.argmin(distance))
    return slot if distance[slot] <= NEAR_MS else None
