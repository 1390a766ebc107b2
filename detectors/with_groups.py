"""Two banks over the same rows: one of series, one of groups of them, kept as one state."""

from typing import Protocol

from detectors.port import F64, I64, GroupBank, Scores, StateError, TunableBank


class TunableGroupBank(TunableBank, GroupBank, Protocol):
    """A bank of groups whose thresholds people can move."""


class WithGroups:
    """A `TunableBank` of series beside a bank of groups; dumps and loads both, tunes that of the series.

    `update` is that of the series' bank; `update_groups` gives the groups the samples of their rows.
    """

    def __init__(self, series: TunableBank, groups: TunableGroupBank) -> None:
        self.series = series
        self.groups = groups

    @property
    def name(self) -> str:
        return self.series.name

    @property
    def version(self) -> int:
        return self.series.version

    @property
    def evidence(self) -> tuple[str, ...]:
        return self.series.evidence

    @property
    def row_bytes(self) -> int:
        return self.series.row_bytes + self.groups.row_bytes

    def grow(self, count: int) -> None:
        self.series.grow(count)
        self.groups.grow(count)

    def reset(self, row: int) -> None:
        self.series.reset(row)
        self.groups.reset(row)

    def tuning(self, row: int) -> tuple[float, float]:
        """As `TunableBank.tuning`, of the series' model."""
        return self.series.tuning(row)

    def moved(self) -> int:
        """How many rows of either are not as calibrated."""
        return self.series.moved() + self.groups.moved()

    def tune(self, rows: I64, below: F64, above: F64) -> None:
        """Move the thresholds of rows: those of series and of groups alike."""
        self.series.tune(rows, below, above)
        self.groups.tune(rows, below, above)

    def update(self, rows: I64, times: I64, values: F64) -> Scores:
        return self.series.update(rows, times, values)

    def update_groups(self, rows: I64, times: I64, values: F64) -> Scores:
        """Give samples of series to the groups that their rows are joined to; see `GroupBank`."""
        return self.groups.update(rows, times, values)

    def join(self, row: int, group: int, feature: str) -> None:
        """As `GroupBank.join`."""
        self.groups.join(row, group, feature)

    def dump(self, start: int, stop: int) -> bytes:
        series = self.series.dump(start, stop)
        return len(series).to_bytes(8, "little") + series + self.groups.dump(start, stop)

    def load(self, start: int, stop: int, data: bytes) -> None:
        size = 8 + int.from_bytes(data[:8], "little")
        if size > len(data):
            raise StateError(f"block of {len(data)} bytes without groups, expected one with: drop the state")
        self.series.load(start, stop, data[8:size])
        self.groups.load(start, stop, data[size:])
