"""What reaches the rows of a partition beside their samples: the passing of time, and feedback."""

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas import Feedback
from streams.alerts import QUIET, Transition
from streams.controls import LAYOUT, Cursor, Placed, Queue
from streams.feedback import Heard, Told, hear, telling
from streams.ingest import NEVER
from streams.ingest.labels import parse_key
from streams.record import Record
from streams.series_rows import Counts, SeriesRows
from streams.silent import Change, Watch

log = logging.getLogger(__name__)

CONTROLS = b"controls"
STEERING = frozenset({CONTROLS})
SHOWN = 100
ASK_AGAIN_MS = 10_000

T = TypeVar("T", bound=Record)


class Steering:
    """Watches the rows for silence, and moves their thresholds as people say.

    `heard_of` are the newest words and what they did, for those who watch.
    """

    def __init__(self, rows: SeriesRows, counts: Counts, *, gone_ms: int) -> None:
        self.queue = Queue()
        self.heard_of: deque[Heard] = deque(maxlen=SHOWN)
        self._cursor = Cursor(self.queue)
        self._rows = rows
        self._counts = counts
        self._counted = 0  # number of the last feedback in the counts
        self._gone = gone_ms
        self._watch = Watch(gone_ms)
        self._asked = NEVER  # when time was last asked for
        self._unsaved = False

    # -- time --------------------------------------------------------------------------------------

    @property
    def watching(self) -> bool:
        """Whether any series is watched for silence."""
        return bool(self._rows.book.rules.no_data_ms.any())

    @property
    def clock(self) -> int:
        """The partition's time, Unix ms."""
        return self._watch.clock

    def clocks(self, times: NDArray[np.int64], stamped: NDArray[np.int64]) -> NDArray[np.int64]:
        """The partition's time before each of some samples; it moves on by them.

        `stamped` are the timestamps of their records: a sample from the future does not make it later.
        """
        told = np.where(stamped > 0, np.minimum(times, stamped), times)
        passed = np.maximum.accumulate(np.r_[self._watch.clock, told])
        self._watch.clock = int(passed[-1])
        return passed[:-1]

    def heard(
        self,
        row: NDArray[np.int64],
        time: NDArray[np.int64],
        before: NDArray[np.int64],
        clock: NDArray[np.int64],
    ) -> list[Change]:
        """Samples are about to be learnt: which of their series were silent before."""
        return self._watch.heard(row, time, before, clock, self._limits(), self._silent())

    def passed(self, time: int) -> list[Change]:
        """It is `time` (Unix ms): which series have fallen silent."""
        last = self._rows.last_time[: self._rows.count]
        return self._watch.passed(time, last, self._limits(), self._silent())

    def abandoned(self, time: int) -> list[Transition]:
        """It is `time` (Unix ms): alerts of series that are gone for good resolve."""
        rows = self._abandoned(time)
        if not len(rows):
            return []
        return self._rows.book.abandon(rows, self._rows.last_time[rows] + self._gone)

    def _abandoned(self, time: int) -> NDArray[np.int64]:
        open_ = np.flatnonzero(self._rows.book.rows["state"][: self._rows.count] != QUIET)
        return open_[self._rows.last_time[open_] <= time - self._gone]

    def wants_time(self, now_ms: int) -> bool:
        """Whether `now_ms` would make a series silent, or gone, and was not told lately."""
        if now_ms - self._asked < ASK_AGAIN_MS:
            return False
        last = self._rows.last_time[: self._rows.count]
        silent = self.watching and self._watch.would_change(now_ms, last, self._limits(), self._silent())
        if not silent and not len(self._abandoned(now_ms)):
            return False
        self._asked = now_ms
        return True

    def _limits(self) -> NDArray[np.int64]:
        book = self._rows.book
        limits: NDArray[np.int64] = book.rules.no_data_ms[book.rule[: self._rows.count]]
        return limits

    def _silent(self) -> NDArray[np.uint8]:
        silent: NDArray[np.uint8] = self._rows.book.rows["silent"][: self._rows.count]
        return silent

    # -- controls ----------------------------------------------------------------------------------

    def split(self, records: Sequence[T]) -> Iterator[Sequence[T]]:
        """Parts of `records` between which controls are due."""
        return self._cursor.split(records)

    def due(self, position: int) -> list[Placed]:
        """What is due before the record at `position`; feedback among it has been heard."""
        found = self._cursor.due(position)
        if any(isinstance(each.what, Feedback) for each in found):
            numbers = {each.number for each in found}
            for told in telling(self.queue.placed):
                if told.number in numbers:
                    self._hear(told)
        return found

    def opened(self, fresh: Sequence[int]) -> None:
        """Rows were given to series, which hear what was said of their metric before."""
        for told in telling(self.queue.placed) if fresh else ():
            if told.number > self._cursor.done:
                break
            metric, _ = parse_key(told.word.series)
            rows = np.array([row for row in fresh if self._rows.index.metric(row) == metric], np.int64)
            self._move(told, rows)

    def _hear(self, told: Told) -> None:
        metric, _ = parse_key(told.word.series)
        if told.number > self._counted:
            self._counted = told.number
            feedback = self._counts.feedback
            feedback[told.word.verdict] = feedback.get(told.word.verdict, 0) + 1
        self._move(told, self._rows.of_metric(metric))

    def _move(self, told: Told, rows: NDArray[np.int64]) -> None:
        if not len(rows):
            return
        alerts = self._rows.book.rows
        changed = rows[alerts["words"][rows] < told.number]
        own = self._rows.index.find(*parse_key(told.word.series))
        heard = hear(told, own if own >= 0 else None, rows, alerts, self._rows.bank)
        if heard is not None:
            self.heard_of.append(heard)
        self._rows.mark(changed.tolist())

    # -- state -------------------------------------------------------------------------------------

    def place(self, records: Sequence[Record], position: int) -> list[tuple[Record, str]]:
        """Give controls their place, before the record at `position`; return what is none, with why."""
        self._unsaved = True
        return list(self.queue.place(records, position))

    def snapshot(self) -> list[tuple[bytes, bytes | None]]:
        """The controls as a block, if there are new ones."""
        entries: list[tuple[bytes, bytes | None]] = []
        if self._unsaved:
            entries.append((CONTROLS, msgspec.msgpack.encode(self.queue)))
            self._unsaved = False
        return entries

    def restore(self, blocks: Mapping[bytes, bytes]) -> None:
        """Take over the blocks among `blocks` that `snapshot` made.

        The time begins anew: whatever it had brought about is in the rows.
        """
        try:
            queue = msgspec.msgpack.decode(blocks.get(CONTROLS, msgspec.msgpack.encode(Queue())), type=Queue)
            if queue.layout != LAYOUT:
                raise msgspec.ValidationError(f"layout {queue.layout}, expected {LAYOUT}")
        except msgspec.MsgspecError as error:
            log.warning("partition %d: controls that do not fit are left out: %s", self._rows.source, error)
            queue = Queue()
        self.queue, self._cursor = queue, Cursor(queue)
        self._watch = Watch(self._gone)
