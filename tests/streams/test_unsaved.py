"""Which blocks are written next, and what input is durable then."""

import numpy as np

from streams.unsaved import Unsaved


def _noted(*notes: tuple[list[int], int]) -> Unsaved:
    unsaved = Unsaved(block_rows=10)
    unsaved.grow(100)
    for rows, offset in notes:
        unsaved.note(np.array(rows), offset)
    return unsaved


def test_blocks_that_changed_first_are_taken_first() -> None:
    unsaved = _noted(([55, 5], 7), ([12], 3), ([99], 5))
    assert len(unsaved) == 4
    assert unsaved.take(2) == [1, 9]
    assert unsaved.take(None) == [0, 5]
    assert (len(unsaved), unsaved.offset) == (0, None)


def test_input_is_durable_up_to_the_oldest_change_that_is_not_taken() -> None:
    unsaved = _noted(([5], 3), ([5, 12], 8))
    assert unsaved.offset == 3
    unsaved.take(1)
    assert unsaved.offset == 8
    unsaved.note_row(5, 20)
    assert unsaved.offset == 8
    unsaved.take(1)
    assert unsaved.offset == 20


def test_it_grows_with_what_it_holds() -> None:
    unsaved = _noted(([99], 1))
    unsaved.grow(1001)
    unsaved.note_row(1000, 2)
    assert unsaved.take(None) == [9, 100]
    unsaved.note_row(0, 3)
    unsaved.clear()
    assert unsaved.offset is None
