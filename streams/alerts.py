"""The lifecycle of alerts: pending, firing, resolved, in event time, one row per series."""

import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from schemas.alert import State
from streams.config import AlertConfig

QUIET, PENDING, FIRING = 0, 1, 2

ROW = np.dtype(
    [
        ("state", "u1"),
        ("flaps", "u2"),  # firings since flap_since
        ("anomalies", "u4"),  # alarms of this alert
        ("started", "i8"),  # event times, Unix ms
        ("last", "i8"),  # last time that something was wrong
        ("flap_since", "i8"),
    ]
)


@dataclass(frozen=True, slots=True)
class Transition:
    """An alert of the series in `row` changes to `state` because of the sample at `index` of the step."""

    index: int
    row: int
    state: State
    started_at: int
    changed_at: int
    anomalies: int
    suppressed: Literal["flapping"] | None


def fingerprint(series: str) -> str:
    """The identity of all alerts of one series: 16 hexadecimal digits."""
    return hashlib.blake2b(series.encode(), digest_size=8).hexdigest()


class AlertBook:
    """Alert state of many series; a series has at most one alert at a time.

    An alarm opens an alert (pending, and firing once it has lasted `for_s`); alarms and samples outside
    their band keep it; it resolves at the first sample that comes `resolve_after_s` or more after the
    last such one. From `flap_limit` firings within `flap_window_s` on, transitions are marked flapping.
    """

    def __init__(self, config: AlertConfig) -> None:
        self._for = int(config.for_s * 1000)
        self._resolve = int(config.resolve_after_s * 1000)
        self._flap_window = int(config.flap_window_s * 1000)
        self._flap_limit = config.flap_limit
        self.rows: NDArray[np.void] = np.zeros(0, ROW)

    def grow(self, count: int) -> None:
        """Make rows 0..count-1 exist."""
        if count > len(self.rows):
            grown = np.zeros(max(count, 2 * len(self.rows)), ROW)
            grown[: len(self.rows)] = self.rows
            self.rows = grown

    def step(
        self,
        rows: NDArray[np.int64],
        times: NDArray[np.int64],
        alarm: NDArray[np.bool_],
        outside: NDArray[np.bool_],
    ) -> list[Transition]:
        """Advance by one batch of samples, in order; return the changes of state, in order.

        `alarm` marks samples that a detector alarmed on, `outside` those outside their band.
        """
        concerned = np.flatnonzero(alarm | (self.rows["state"][rows] != QUIET))
        if not alarm.any():
            return [t for i in concerned for t in self._one(int(i), rows, times, False, bool(outside[i]))]
        # An alarm within the batch makes later samples of its series count too.
        opened = np.isin(rows, rows[alarm])
        concerned = np.union1d(concerned, np.flatnonzero(opened))
        return [
            t for i in concerned for t in self._one(int(i), rows, times, bool(alarm[i]), bool(outside[i]))
        ]

    def _one(
        self, index: int, rows: NDArray[np.int64], times: NDArray[np.int64], alarm: bool, outside: bool
    ) -> list[Transition]:
        row, time = int(rows[index]), int(times[index])
        alert = self.rows[row]
        state = int(alert["state"])
        changes: list[State] = []
        if state == QUIET and alarm:
            alert["state"], alert["started"], alert["anomalies"] = PENDING, time, 0
            state = PENDING
            if self._for > 0:
                changes.append("pending")
        if state == QUIET:
            return []
        wrong = alarm or outside
        if alarm:
            alert["anomalies"] += 1
        if wrong:
            alert["last"] = time
        if state == PENDING and wrong and time - int(alert["started"]) >= self._for:
            alert["state"] = FIRING
            self._count_firing(alert, time)
            changes.append("firing")
        elif not wrong and time - int(alert["last"]) >= self._resolve:
            alert["state"] = QUIET
            changes.append("resolved")
        flapping = int(alert["flaps"]) >= self._flap_limit
        return [
            Transition(
                index=index,
                row=row,
                state=change,
                started_at=int(alert["started"]),
                changed_at=time,
                anomalies=int(alert["anomalies"]),
                suppressed="flapping" if flapping else None,
            )
            for change in changes
        ]

    def _count_firing(self, alert: np.void, time: int) -> None:
        if time - int(alert["flap_since"]) > self._flap_window:
            alert["flap_since"], alert["flaps"] = time, 0
        alert["flaps"] = min(int(alert["flaps"]) + 1, 65_535)
