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

    def snapshot(self) -> list[tuple[bytes, bytes | None]]:
        """What has changed since the last snapshot, to be written in this order; it counts as saved then.

        Keys and blocks; None where a key is to be forgotten.
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
