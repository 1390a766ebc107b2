"""How much time the models of a bank may take, so that slow ones hold up nobody but themselves."""

from collections.abc import Callable
from dataclasses import dataclass

SAVED_SAMPLES = 200
"""A row that has been quick may once take the time of so many samples: models have slow moments."""


@dataclass(frozen=True, slots=True)
class Budget:
    """`per_sample_s` is what a sample may take on average, in seconds of `timer`.

    `timer` should not run while this thread does not, or a stalled machine would count as a slow model.
    """

    per_sample_s: float
    timer: Callable[[], float]


class Meter:
    """A token bucket per row (Turner 1986): each sample earns its time, each use of the model spends it.

    >>> now = 0.0
    >>> meter = Meter(Budget(1.0, lambda: now))
    >>> meter.begin(0)
    True
    >>> now = 202.0
    >>> meter.end(0)
    >>> [meter.begin(0) for _ in range(4)]
    [False, True, True, True]
    """

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._saved: dict[int, float] = {}  # only of rows that have ever spent more than a sample earns
        self._began = 0.0

    def begin(self, row: int) -> bool:
        """Whether the row's model may be used for the sample that has come."""
        saved = self._saved.get(row)
        if saved is not None:
            saved += self._budget.per_sample_s
            if saved >= SAVED_SAMPLES * self._budget.per_sample_s:
                del self._saved[row]
            else:
                self._saved[row] = saved
            if saved < 0.0:
                return False
        self._began = self._budget.timer()
        return True

    def end(self, row: int) -> None:
        """Note that the model of the row has been used since `begin`."""
        took = self._budget.timer() - self._began
        if row in self._saved or took > self._budget.per_sample_s:
            full = SAVED_SAMPLES * self._budget.per_sample_s
            self._saved[row] = self._saved.get(row, full) - took

    def forget(self, row: int) -> None:
        """Begin anew with a row."""
        self._saved.pop(row, None)
