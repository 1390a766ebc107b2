"""The port every detector is used through: a bank of rows, one row per series."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


class DetectorError(Exception):
    """The base of what this package raises on purpose."""


class UnknownDetectorError(DetectorError, ValueError):
    """No detector has that name, or it has no such parameter; the text lists the known ones."""


class StateError(DetectorError, ValueError):
    """A dumped block is not this bank's: another model, version or layout, or it was tampered with."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a bank says of a batch of samples, one entry per sample in the order given.

    `score` is the surprise in [0, 1], NaN where the sample was missing or the model raised.
    `expected`, `lower` and `upper` are in the series' unit, NaN while the model has no band.
    `alarm` is the bank's verdict at the asked alarm rate, `learning` says that it is too early for one.
    `evidence` is samples by `Bank.evidence`: 1 is the alarm's threshold, 0 is silence.
    `errors` maps the index of a sample to what the model raised on it. `unscored` counts the samples that
    were set aside because their model has taken too much time.
    """

    score: F64
    expected: F64
    lower: F64
    upper: F64
    alarm: Bool
    learning: Bool
    evidence: F32
    errors: Mapping[int, str] = field(default_factory=lambda: MappingProxyType({}))
    unscored: int = 0


_NO_ERRORS: Mapping[int, str] = MappingProxyType({})


def blank_scores(count: int, kinds: int, errors: Mapping[int, str] = _NO_ERRORS) -> Scores:
    """Scores of `count` samples of which nothing is known: NaN, no alarm, learning."""
    return Scores(
        score=np.full(count, np.nan),
        expected=np.full(count, np.nan),
        lower=np.full(count, np.nan),
        upper=np.full(count, np.nan),
        alarm=np.zeros(count, dtype=np.bool_),
        learning=np.ones(count, dtype=np.bool_),
        evidence=np.zeros((count, kinds), dtype=np.float32),
        errors=errors,
    )


class Bank(Protocol):
    """Detectors of many series, updated together.

    A sample is tested first and learnt after, so its score depends on earlier samples of its row
    only; neither other rows nor the way samples are cut into batches matter. A missing value (NaN)
    changes nothing and scores NaN. Infinite values are the caller's to reject.
    """

    @property
    def name(self) -> str:
        """The registered name of the model."""

    @property
    def version(self) -> int:
        """Grows when dumped blocks stop being readable."""

    @property
    def evidence(self) -> tuple[str, ...]:
        """Names of the columns of `Scores.evidence`."""

    @property
    def row_bytes(self) -> int:
        """Bytes of state per row (of an estimate, where models are objects)."""

    def grow(self, count: int) -> None:
        """Make rows 0 to count - 1 exist; new ones are fresh. Never shrinks."""

    def reset(self, row: int) -> None:
        """Forget what `row` has learnt."""

    def update(self, rows: I64, times: I64, values: F64) -> Scores:
        """Score and learn samples: their rows, event times (Unix ms) and values, each of length n.

        Samples of one row come in the order they are to be learnt; rows may be mixed at will.

        Raises:
            IndexError: a row does not exist.
            ValueError: the lengths differ.
        """

    def dump(self, start: int, stop: int) -> bytes:
        """The state of rows start to stop - 1, readable by `load` of an equal bank."""

    def load(self, start: int, stop: int, data: bytes) -> None:
        """Put a dumped block back into rows start to stop - 1.

        Raises:
            StateError: the block is of another model, version, layout or length, or not authentic.
        """


@runtime_checkable
class GroupBank(Bank, Protocol):
    """A bank whose models look at groups of rows together: a row's score depends on its group's samples."""

    def join(self, row: int, group: int, feature: str) -> None:
        """From now on the samples of `row` are the feature of that name of the group in row `group`.

        It is not part of the state: whoever loads a block joins its rows again.
        """


class TunableBank(Bank, Protocol):
    """A bank whose alarm thresholds people can move. What was set is part of a row's state."""

    def tuning(self, row: int) -> tuple[float, float]:
        """Logarithms of what the row's thresholds below and above are multiplied by; 0 as calibrated."""

    def moved(self) -> int:
        """How many rows are not as calibrated."""

    def tune(self, rows: I64, below: F64, above: F64) -> None:
        """Set the logarithms of what the rows' thresholds are multiplied by."""


def check_batch(rows: I64, times: I64, values: F64, count: int) -> None:
    """Raise what `Bank.update` promises for a bank of `count` rows."""
    if not len(rows) == len(times) == len(values):
        raise ValueError(f"lengths differ: {len(rows)} rows, {len(times)} times, {len(values)} values")
    if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < count:
        found = f"rows {rows.min()} to {rows.max()}"
        raise IndexError(f"{found} are not all in 0 to {count - 1}; call grow first")
