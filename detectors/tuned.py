"""Any bank with thresholds that people have moved: per row, below and above what was expected."""

import numpy as np

from detectors.port import F64, I64, Bank, GroupBank, Scores, StateError

HEADER = b"tuned/1\n"


class TunedBank:
    """A `TunableBank` around any bank: what the model learns stays as it is, its verdict moves.

    The alarm's threshold of a row is multiplied by exp(below) for values below the expected one, by
    exp(above) for those above, and by the mean of the two where nothing is expected. Evidence is divided by
    the factor, so 1 stays the threshold, and the band widens or narrows with it.

    >>> from detectors.ewma_z import ewma_z_bank
    >>> values = np.r_[np.arange(99.0) % 5, 8.0]
    >>> def last_alarms(above: float) -> bool:
    ...     bank = TunedBank(ewma_z_bank(alarms_per_series_day=1.0))
    ...     bank.grow(1)
    ...     bank.tune(np.array([0]), np.array([0.0]), np.array([above]))
    ...     return bool(bank.update(np.zeros(100, np.int64), np.arange(100) * 60_000, values).alarm[-1])
    >>> last_alarms(0.0), last_alarms(0.5)
    (True, False)
    """

    def __init__(self, bank: Bank) -> None:
        self._bank = bank
        self._tuning = np.zeros((0, 2), np.float32)
        self._tuned = False

    @property
    def name(self) -> str:
        return self._bank.name

    @property
    def version(self) -> int:
        return self._bank.version

    @property
    def evidence(self) -> tuple[str, ...]:
        return self._bank.evidence

    @property
    def row_bytes(self) -> int:
        return self._bank.row_bytes + 8

    def grow(self, count: int) -> None:
        self._bank.grow(count)
        if count > len(self._tuning):
            tuning = np.zeros((max(count, 2 * len(self._tuning)), 2), np.float32)
            tuning[: len(self._tuning)] = self._tuning
            self._tuning = tuning

    def reset(self, row: int) -> None:
        self._bank.reset(row)
        self._tuning[row] = 0.0

    def tuning(self, row: int) -> tuple[float, float]:
        """Logarithms of what the row's thresholds below and above are multiplied by; 0 as calibrated."""
        return float(self._tuning[row, 0]), float(self._tuning[row, 1])

    def moved(self) -> int:
        """How many rows are not as calibrated."""
        return int(self._tuning.any(axis=1).sum()) if self._tuned else 0

    def tune(self, rows: I64, below: F64, above: F64) -> None:
        """Set the logarithms of what the rows' thresholds are multiplied by."""
        self._tuning[rows, 0], self._tuning[rows, 1] = below, above
        self._tuned |= bool(self._tuning[rows].any())

    def update(self, rows: I64, times: I64, values: F64) -> Scores:
        scores = self._bank.update(rows, times, values)
        self._apply(scores, rows, values)
        return scores

    def _apply(self, scores: Scores, rows: I64, values: F64) -> None:
        """Move the verdicts by what is set for `rows`, in place."""
        if not self._tuned:
            return
        concerned = np.flatnonzero(self._tuning[rows].any(axis=1))
        if len(concerned):
            _move(
                scores, concerned, values[concerned], np.exp(self._tuning[rows[concerned]].astype(np.float64))
            )

    def dump(self, start: int, stop: int) -> bytes:
        return HEADER + self._tuning[start:stop].tobytes() + self._bank.dump(start, stop)

    def load(self, start: int, stop: int, data: bytes) -> None:
        size = 8 * (stop - start)
        if not data.startswith(HEADER) or len(data) < len(HEADER) + size:
            found = data[:80].partition(b"\n")[0].decode("ascii", "replace")
            raise StateError(f"block of {found!r}, expected {HEADER.decode().strip()!r}: drop the state")
        inner = data[len(HEADER) + size :]
        self._bank.load(start, stop, inner)
        tuning = np.frombuffer(data, np.float32, 2 * (stop - start), len(HEADER)).reshape(-1, 2)
        self._tuning[start:stop] = tuning
        self._tuned |= bool(tuning.any())


class TunedGroupBank(TunedBank):
    """A `TunedBank` around a bank of groups: what is set for a group's row holds for its samples."""

    def __init__(self, bank: GroupBank) -> None:
        super().__init__(bank)
        self._groups = bank
        self._joined: dict[int, int] = {}

    def join(self, row: int, group: int, feature: str) -> None:
        """As `GroupBank.join`."""
        self._joined[row] = group
        self._groups.join(row, group, feature)

    def update(self, rows: I64, times: I64, values: F64) -> Scores:
        scores = self._bank.update(rows, times, values)
        self._apply(scores, np.array([self._joined.get(row, row) for row in rows.tolist()], np.int64), values)
        return scores


def _move(scores: Scores, at: I64, values: F64, factors: F64) -> None:
    """Apply factors (n x 2: below, above) to the samples `at`, in place."""
    expected = scores.expected[at]
    factor = np.where(values < expected, factors[:, 0], factors[:, 1])
    factor = np.where(np.isnan(expected), np.sqrt(factors[:, 0] * factors[:, 1]), factor)
    scores.lower[at] = expected - (expected - scores.lower[at]) * factors[:, 0]
    scores.upper[at] = expected + (scores.upper[at] - expected) * factors[:, 1]
    scores.evidence[at] /= factor[:, None]
    scores.alarm[at] = (scores.evidence[at] >= 1.0).any(axis=1) & ~scores.learning[at]
