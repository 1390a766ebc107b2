"""What banks of River's models share: a pickled state per row, judged sample by sample within a budget."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, Protocol, TypeVar

from detectors.budget import Budget, Meter
from detectors.pickled_rows import PickledRows
from detectors.port import F64, I64, Scores, blank_scores, check_batch
from detectors.river_models import DAY_MS, Judged


class HasJudged(Protocol):
    """A row's state, with the model in it."""

    judged: Judged


S = TypeVar("S", bound=HasJudged)


class RiverRows(ABC, Generic[S]):
    """The part of a `Bank` that does not depend on what a model is shown.

    A model that raises loses that sample only: its score is NaN and `Scores.errors` says why. One that takes
    longer than `budget` leaves samples out: their score is NaN, and `Scores.unscored` counts them.
    """

    version: int

    def __init__(
        self,
        name: str,
        build: Callable[[], Any],
        *,
        alarms_per_series_day: float,
        key: bytes | None,
        budget: Budget | None = None,
    ) -> None:
        self.name = name
        self._build = build
        self._rate_per_ms = alarms_per_series_day / DAY_MS
        self._rows: PickledRows[S] = PickledRows(name, self.version, key)
        self._meter = Meter(budget) if budget is not None else None

    @abstractmethod
    def _fresh(self) -> S:
        """The state of a row that has learnt nothing."""

    @abstractmethod
    def _strength(self, state: S, row: int, time: int, value: float, /) -> float | None:
        """Learn a value; the strength of its evidence (1 is an alarm), None where it brings no verdict."""

    def _owner(self, row: int) -> int:
        """The row that has the state for values of `row`."""
        return row

    @property
    def row_bytes(self) -> int:
        """Size of a pickled state: that of the first used one, else of a fresh one."""
        return self._rows.bytes_of(self._fresh())

    def grow(self, count: int) -> None:
        self._rows.grow(count)

    def reset(self, row: int) -> None:
        self._rows.reset(row)
        if self._meter is not None:
            self._meter.forget(row)

    def update(self, rows: I64, times: I64, values: F64) -> Scores:
        check_batch(rows, times, values, len(self._rows))
        errors: dict[int, str] = {}
        out = blank_scores(len(rows), 1, errors)
        unscored = 0
        for i, (row, time, value) in enumerate(
            zip(rows.tolist(), times.tolist(), values.tolist(), strict=True)
        ):
            if math.isnan(value):
                continue
            owner = self._owner(row)
            if self._meter is not None and not self._meter.begin(owner):
                unscored += 1
                continue
            state = self._rows[owner]
            if state is None:
                state = self._rows[owner] = self._fresh()
            try:
                strength = self._strength(state, row, time, value)
            except Exception as error:
                errors[i] = f"{type(error).__name__}: {error}"
                continue
            finally:
                if self._meter is not None:
                    self._meter.end(owner)
            out.learning[i] = state.judged.learning
            if strength is None:
                continue
            out.score[i] = strength / (1.0 + strength)
            if not state.judged.learning:
                out.evidence[i, 0] = strength
                out.alarm[i] = out.evidence[i, 0] >= 1.0
        return replace(out, unscored=unscored)

    def dump(self, start: int, stop: int) -> bytes:
        return self._rows.dump(start, stop)

    def load(self, start: int, stop: int, data: bytes) -> None:
        self._rows.load(start, stop, data)
