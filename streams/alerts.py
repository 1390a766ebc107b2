"""The lifecycle of alerts: pending, firing, resolved, in event time, one row per series."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.alert import Kind, State
from streams.rules import Rules

QUIET, PENDING, FIRING = 0, 1, 2
EPISODES = 4  # of each series, so that feedback finds what it is about

ROW = np.dtype(
    [
        ("state", "u1"),
        ("silent", "u1"),  # see `streams.silent`
        ("flaps", "u2"),  # firings since flap_since
        ("anomalies", "u4"),  # alarms of this alert
        ("started", "i8"),  # event times, Unix ms
        ("last", "i8"),  # last time that something was wrong
        ("flap_since", "i8"),
        ("silent_at", "i8"),
        ("strength", "f4"),  # of this alert's first alarm
        # The newest times of trouble: from, to, the strongest alarm (negative: below what was expected), what
        # people said of it (see `streams.feedback`), and by how much that moved the threshold.
        ("begin", "i8", (EPISODES,)),
        ("end", "i8", (EPISODES,)),
        ("peak", "f4", (EPISODES,)),
        ("verdict", "u1", (EPISODES,)),
        ("moved", "f4", (EPISODES, 2)),
        ("doubt", "f4", (2,)),  # see `streams.feedback`, below and above
        ("missed", "f4", (2,)),
        ("words", "i8"),  # number of the last feedback that counts in this row
    ]
)


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert of the series in `row` changes to `state`.

    `index` is that of the sample in the step that made it do so, -1 where time alone did.
    """

    index: int
    row: int
    state: State
    started_at: int
    changed_at: int
    anomalies: int
    strength: float
    suppressed: Literal["flapping"] | None
    kind: Kind = "anomaly"


def fingerprint(series: str, kind: Kind = "anomaly") -> str:
    """The identity of all alerts of a kind of one series: 16 hexadecimal digits."""
    text = series if kind == "anomaly" else f"{kind} of {series}"
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class AlertBook:
    """Alert state of many series; a series has at most one alert on its values at a time.

    An alarm opens an alert (pending, and firing once it has lasted `for_s`); alarms and samples outside
    their band keep it; it resolves at the first sample that comes `resolve_after_s` or more after the
    last such one. From `flap_limit` firings within `flap_window_s` on, transitions are marked flapping.
    `rule` has the number of each row's rule.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.rows: NDArray[np.void] = np.zeros(0, ROW)
        self.rule: NDArray[np.int64] = np.zeros(0, np.int64)

    def grow(self, count: int) -> None:
        """Make rows 0..count-1 exist."""
        if count > len(self.rows):
            grown, rule = (np.zeros(max(count, 2 * len(self.rows)), kind) for kind in (ROW, np.int64))
            grown[: len(self.rows)], rule[: len(self.rows)] = self.rows, self.rule
            self.rows, self.rule = grown, rule

    def step(
        self,
        rows: NDArray[np.int64],
        times: NDArray[np.int64],
        alarm: NDArray[np.bool_],
        outside: NDArray[np.bool_],
        strength: NDArray[np.float64] | None = None,
    ) -> list[Transition]:
        """Advance by one batch of samples, in order; return the changes of state, in order.

        `alarm` marks samples that a detector alarmed on, `outside` those outside their band. `strength` is
        that of the alarms (1: the threshold), negative where the value was below the expected one.
        """
        concerned = np.flatnonzero(alarm | (self.rows["state"][rows] != QUIET))
        if alarm.any():  # an alarm within the batch makes later samples of its series count too
            concerned = np.union1d(concerned, np.flatnonzero(np.isin(rows, rows[alarm])))
        changes = []
        for i in concerned.tolist():
            alarmed = (1.0 if strength is None else float(strength[i])) if alarm[i] else 0.0
            changes += self._one(i, int(rows[i]), int(times[i]), alarmed, bool(outside[i]))
        return changes

    def abandon(self, rows: NDArray[np.int64], times: NDArray[np.int64]) -> list[Transition]:
        """Resolve the alerts of series that will not be heard of again, at these times."""
        changes = []
        for row, time in zip(rows.tolist(), times.tolist(), strict=True):
            alert = self.rows[row]
            alert["state"] = QUIET
            changes.append(
                Transition(
                    index=-1, row=row, state="resolved", started_at=int(alert["started"]), changed_at=time,
                    anomalies=int(alert["anomalies"]), strength=round(float(alert["strength"]), 3),
                    suppressed=None,
                )
            )  # fmt: skip
        return changes

    def _one(self, index: int, row: int, time: int, alarmed: float, outside: bool) -> list[Transition]:
        alert, rule = self.rows[row], int(self.rule[row])
        pending_for, rules = int(self.rules.for_ms[rule]), self.rules
        state = int(alert["state"])
        changes: list[State] = []
        if state == QUIET and alarmed:
            alert["state"], alert["started"], alert["anomalies"] = PENDING, time, 0
            alert["strength"] = abs(alarmed)
            _begin(alert, time)
            state = PENDING
            if pending_for > 0:
                changes.append("pending")
        if state == QUIET:
            return []
        wrong = bool(alarmed) or outside
        if alarmed:
            alert["anomalies"] += 1
            _note(alert, time, alarmed)
        if wrong:
            alert["last"] = time
        if state == PENDING and wrong and time - int(alert["started"]) >= pending_for:
            alert["state"] = FIRING
            self._count_firing(alert, time, int(rules.flap_window_ms[rule]))
            changes.append("firing")
        elif not wrong and time - int(alert["last"]) >= rules.resolve_ms[rule]:
            alert["state"] = QUIET
            changes.append("resolved")
        flapping = int(alert["flaps"]) >= rules.flap_limit[rule]
        return [
            Transition(
                index=index,
                row=row,
                state=change,
                started_at=int(alert["started"]),
                changed_at=time,
                anomalies=int(alert["anomalies"]),
                strength=round(float(alert["strength"]), 3),
                suppressed="flapping" if flapping else None,
            )
            for change in changes
        ]

    def _count_firing(self, alert: np.void, time: int, window: int) -> None:
        if time - int(alert["flap_since"]) > window:
            alert["flap_since"], alert["flaps"] = time, 0
        alert["flaps"] = min(int(alert["flaps"]) + 1, 65_535)


def _begin(alert: np.void, time: int) -> None:
    """Make room for a new episode in place of the oldest."""
    slot = int(np.argmin(alert["begin"]))
    alert["begin"][slot] = alert["end"][slot] = time
    alert["peak"][slot] = alert["verdict"][slot] = 0
    alert["moved"][slot] = 0.0


def _note(alert: np.void, time: int, alarmed: float) -> None:
    slot = int(np.argmax(alert["begin"]))
    alert["end"][slot] = time
    if abs(alarmed) > abs(float(alert["peak"][slot])):
        alert["peak"][slot] = alarmed
