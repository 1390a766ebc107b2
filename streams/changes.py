"""Changes of alerts, as they go from the partitions of series to those of their groups."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.port import Scores
from schemas import Alert
from schemas.alert import State
from streams.alerts import Transition, fingerprint
from streams.output import Output, output
from streams.rules import Grouping
from streams.series_rows import SeriesRows
from streams.silent import Change
from streams.targets import Roles


class Changes:
    """Makes messages of what happened to the rows' alerts; `grouping` decides where they go."""

    def __init__(self, rows: SeriesRows, roles: Roles, grouping: Grouping) -> None:
        self._rows = rows
        self._roles = roles
        self._grouping = grouping

    def alert(self, change: Transition, value: NDArray[np.float64], scores: Scores) -> Output:
        """An alert on values; `change.index` is that of its sample."""
        i = change.index
        expected = float(scores.expected[i])
        told = f"expected about {expected:.6g}" if np.isfinite(expected) else "no expectation yet"
        return self._message(change, f"{self._rows.index.key(change.row)} is {value[i]:.6g}, {told}")

    def abandoned(self, changes: Sequence[Transition]) -> list[Output]:
        """Alerts on values of series that are gone for good."""
        self._rows.mark(change.row for change in changes)
        return [self._message(change, f"{self._rows.index.key(change.row)} is gone") for change in changes]

    def silent(self, changes: Sequence[Change]) -> list[Output]:
        """Alerts on series that fell silent, or are heard again or gone for good."""
        self._rows.mark(change.row for change in changes)
        return [self._silent(change) for change in changes]

    def _silent(self, change: Change) -> Output:
        book, series = self._rows.book, self._rows.index.key(change.row)
        limit = int(book.rules.no_data_ms[book.rule[change.row]])
        if change.silent:
            book.rows["silent_at"][change.row] = change.time
        started = int(book.rows["silent_at"][change.row])
        state: State = "firing" if change.silent else "resolved"
        missing = f"no data of {series} for {limit / 1000:g} s"
        words = missing if change.silent else f"{series} is no longer missing"
        return self._message(
            Transition(
                index=-1, row=change.row, state=state, started_at=started, changed_at=change.time,
                anomalies=0, strength=1.0, suppressed=None, kind="no-data",
            ),
            words,
        )  # fmt: skip

    def _message(self, change: Transition, summary: str) -> Output:
        rows = self._rows
        series, labels = rows.index.key(change.row), rows.index.labels(change.row)
        target = self._roles.name(int(rows.target[change.row]))
        rule = rows.book.rules[int(rows.book.rule[change.row])]
        identity = fingerprint(series, change.kind)
        message = Alert(
            fingerprint=identity,
            state=change.state,
            series=series,
            labels=labels,
            target=target,
            severity=rule.severity,
            summary=summary,
            anomaly=f"{identity}:{change.started_at}",
            anomalies=change.anomalies,
            started_at=change.started_at,
            changed_at=change.changed_at,
            resolved_at=change.changed_at if change.state == "resolved" else None,
            suppressed=change.suppressed,
            runbook=rule.runbook,
            kind=change.kind,
            strength=change.strength,
            annotations=rule.annotations,
        )
        return output("changes", self._grouping.of(labels, target, series).key, message)
