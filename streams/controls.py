"""Feedback and time, put at a place among the samples of a partition, so that a replay does the same.

A control comes on a topic of its own, so nothing says which samples come before it. It is given a place when
it is first read: behind all that the samples' topic holds by then. That place is durable before anything
behind it is processed, and whatever was processed before a crash lies before it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from schemas import Feedback, SchemaError, decode
from schemas.control import Control, Tick
from streams.ingest import offsets_of
from streams.record import Record

MOST_FEEDBACK = 4_096  # of a partition; what is older stays in the thresholds but is no longer told apart
MOST_TICKS = 64
LAYOUT = 1

T = TypeVar("T", bound=Record)


class Placed(msgspec.Struct, frozen=True, array_like=True):
    """A control that is due before the record at offset `position`, in its order among all."""

    number: int
    position: int
    what: Feedback | Tick


class Queue(msgspec.Struct, kw_only=True):
    """The controls of one partition, those that are done included: a replay may begin before them.

    `read` is the last offset read of the topic of controls, `told` those of `events`, by partition.
    """

    layout: int = LAYOUT
    number: int = 0
    read: int = -1
    told: dict[int, int] = {}
    placed: list[Placed] = []

    def place(self, records: Sequence[Record], position: int) -> Iterator[tuple[Record, str]]:
        """Take records of the topic of controls; yield those that are none, with the reason."""
        for record in records:
            if record.offset <= self.read:
                continue
            self.read = record.offset
            try:
                control = decode(record.value or b"", Control | Tick)  # type: ignore[arg-type]
            except SchemaError as error:
                yield record, str(error)
                continue
            if isinstance(control, Tick):
                self._add(control, position)
            elif isinstance(control.event, Feedback) and self._is_new(control):
                self.told[control.partition] = control.offset
                self._add(control.event, position)

    def _is_new(self, control: Control) -> bool:
        return control.offset > self.told.get(control.partition, -1)

    def _add(self, what: Feedback | Tick, position: int) -> None:
        self.number += 1
        after = self.placed[-1].position if self.placed else 0
        self.placed.append(Placed(self.number, max(position, after), what))
        for kind, most in ((Feedback, MOST_FEEDBACK), (Tick, MOST_TICKS)):
            if isinstance(what, kind):
                mine = [each for each in self.placed if isinstance(each.what, kind)]
                if len(mine) > most:
                    self.placed.remove(mine[0])


class Cursor:
    """How far the controls of a queue have been applied; a new one begins at the first."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.done = 0  # number of the last one

    def due(self, position: int) -> list[Placed]:
        """What is to be applied before the record at `position`, and has not been."""
        found = [p for p in self._queue.placed if p.number > self.done and p.position <= position]
        if found:
            self.done = found[-1].number
        return found

    def split(self, records: Sequence[T]) -> Iterator[Sequence[T]]:
        """Parts of `records`, ascending in offset, between which controls are due."""
        ahead = sorted({p.position for p in self._queue.placed if p.number > self.done})
        cuts: Iterable[int] = np.searchsorted(offsets_of(records), ahead) if ahead and len(records) else []
        start = 0
        for cut in [*(int(each) for each in cuts), len(records)]:
            if cut > start:
                yield records[start:cut]
                start = cut
