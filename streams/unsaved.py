"""Which blocks of rows the changelog lacks something of, and since which input."""

import numpy as np
from numpy.typing import NDArray

_NOTHING = np.iinfo(np.int64).max


class Unsaved:
    """The blocks of one partition that changed since they were last written.

    A block that changes is noted with the offset of the last input before the change: of it, all input up to
    there is written. So blocks can be written a few at a time, in any order, and what is durable is known.
    """

    def __init__(self, block_rows: int) -> None:
        self._block_rows = block_rows
        self._since: NDArray[np.int64] = np.full(0, _NOTHING, np.int64)

    def __len__(self) -> int:
        """How many blocks changed."""
        return int((self._since != _NOTHING).sum())

    @property
    def offset(self) -> int | None:
        """Input up to this offset is durable; None where all of it is."""
        oldest = int(self._since.min(initial=_NOTHING))
        return None if oldest == _NOTHING else oldest

    def grow(self, rows: int) -> None:
        """Make room for so many rows."""
        blocks = -(-rows // self._block_rows)
        if blocks > len(self._since):
            grown = np.full(max(blocks, 2 * len(self._since)), _NOTHING, np.int64)
            grown[: len(self._since)] = self._since
            self._since = grown

    def note(self, rows: NDArray[np.int64], offset: int) -> None:
        """Note that rows change, where `offset` is the last input before the change."""
        changed = np.zeros(len(self._since), np.bool_)
        changed[rows // self._block_rows] = True
        self._since[changed] = np.minimum(self._since[changed], offset)

    def note_row(self, row: int, offset: int) -> None:
        """Note that one row changes."""
        block = row // self._block_rows
        self._since[block] = min(int(self._since[block]), offset)

    def take(self, most: int | None) -> list[int]:
        """The numbers of at most so many changed blocks, those that changed first; they count as written."""
        changed = np.flatnonzero(self._since != _NOTHING)
        if most is not None and most < len(changed):
            changed = changed[np.argsort(self._since[changed], kind="stable")[:most]]
        self._since[changed] = _NOTHING
        numbers: list[int] = changed.tolist()
        return numbers

    def clear(self) -> None:
        """Count all blocks as written."""
        self._since[:] = _NOTHING
