"""What people say of alarms, and how far that moves the thresholds of a series and of those of its metric.

For each side, below and above what is expected, doubt adds up: a false alarm adds to it, one that was real
takes more than that away. Where alarms on a side are nothing again and again, and never real, its threshold
rises; where some are real, it stays as calibrated. What was missed lowers it. Series of the same metric share
it, for what somebody says of one of them is seldom true of it alone. docs/detection.md has what that does.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.port import F64, TunableBank
from schemas import Feedback
from schemas.event import Side, Verdict
from streams.controls import Placed

CODES: dict[Verdict, int] = {"false-alarm": 1, "real": 2, "missed": 3}

FALSE_STEP = 0.2  # of the logarithm of the threshold, and ...
WEAK = 0.2  # ... for its own series the logarithm of the alarm's strength, up to this
REAL_STEP = -1.0
MISSED_STEP = -0.2
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
    """What a word on an alarm of this strength adds to the doubt of its series."""
    match verdict:
        case "false-alarm":
            return FALSE_STEP + min(math.log(max(strength, 1.0)), WEAK)
        case "real":
            return REAL_STEP
        case _:
            return 0.0


def _missed(verdict: Verdict | None, strength: float) -> float:
    return MISSED_STEP if verdict == "missed" else 0.0


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
        doubt = _own(told, alert) if row == own else _sided(told.word.side, _turn(told, move))
        alert["doubt"] = np.clip(alert["doubt"] + doubt, -HIGHEST, HIGHEST)
        alert["missed"] += _sided(told.word.side, _turn(told, _missed))
        alert["missed"] = np.clip(alert["missed"], LOWEST, 0.0)
        sides = np.clip(np.maximum(alert["doubt"], 0.0) + alert["missed"], LOWEST, HIGHEST)
        bank.tune(np.array([row]), sides[:1], sides[1:])
    if own is None or own not in rows:
        return None
    return Heard(told.word, *(math.exp(side) for side in bank.tuning(own)))


def _turn(told: Told, weigh: Callable[[Verdict | None, float], float]) -> float:
    """What a word changes, given what was said of the same moment before."""
    return weigh(told.word.verdict, 1.0) - weigh(told.before, 1.0)


def _own(told: Told, alert: np.void) -> F64:
    """Doubt of the series that the word is about: by its episode, which may have been spoken of before."""
    slot = episode(alert, told.word.ts)
    if slot is None:
        return _sided(told.word.side, _turn(told, move))
    peak = float(alert["peak"][slot])
    side: Side | None = told.word.side or ("above" if peak > 0 else "below" if peak < 0 else None)
    now = _sided(side, move(told.word.verdict, abs(peak)))
    changed: F64 = now - alert["moved"][slot]
    alert["moved"][slot] = now
    alert["verdict"][slot] = CODES[told.word.verdict]
    return changed


def _sided(side: Side | None, by: float) -> F64:
    return np.array([0.0 if side == "above" else by, 0.0 if side == "below" else by])


def episode(alert: np.void, ts: int) -> int | None:
    """The episode of a row that a moment belongs to; None where none is near."""
    begin, end = alert["begin"], alert["end"]
    distance = np.maximum(np.maximum(begin - ts, ts - end), 0)
    distance[begin == 0] = NEAR_MS + 1
    slot = int(np.argmin(distance))
    return slot if distance[slot] <= NEAR_MS else None
