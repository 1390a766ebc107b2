"""What a stage keeps per partition."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from streams.output import Output
from streams.record import Record

COLD = b"cold/"
"""Blocks under keys that begin with it wait on disk until they are recalled."""

Recall = Callable[[bytes], bytes | None]


class Partition(Protocol):
    """The state of one partition of a stage."""

    def process(self, records: Sequence[Record], now_ms: int) -> list[Output]:
        """Learn from records of one topic, ascending in offset; return what they lead to."""

    def changed(self) -> int:
        """How many blocks have changed since they were last in a snapshot."""

    def snapshot(self, most: int | None = None) -> list[tuple[bytes, bytes | None]]:
        """At most so many changed blocks, the oldest first, to be written in this order before the next ones.

        Keys and blocks; None where a key is to be forgotten.
        """

    @property
    def durable(self) -> int | None:
        """Input up to this offset is in the snapshots taken so far; None where all is that was processed.

        A partition with several source topics has all in each snapshot.
        """

    def restore(self, blocks: Mapping[bytes, bytes], recall: Recall) -> None:
        """Take over blocks that an earlier owner wrote; `recall` returns those on disk, by key.

        What cannot be used (another layout, another model) is told in the log and learnt anew.
        """


@runtime_checkable
class Timed(Protocol):
    """A partition to which time matters even without input."""

    def tick(self, now_ms: int) -> list[Output]:
        """What follows from its being `now_ms` (Unix ms)."""
