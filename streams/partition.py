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

    def tick(self, now_ms: int) -> list[Output]:
        """Let time pass without input: it is `now_ms` (Unix ms). Return what that leads to."""

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


class Placing(Partition, Protocol):
    """A partition whose controls are given a place among its records."""

    def place(self, records: Sequence[Record], end: int) -> list[Output]:
        """Give records of the topic of controls their place: before the record at offset `end`, or later."""

    def placed(self) -> list[tuple[bytes, bytes | None]]:
        """The blocks that hold the places, to be durable before a record behind them is processed."""

    def resume(self, offset: int) -> None:
        """All input before `offset` is in the state."""

    def due(self) -> list[Output]:
        """Apply controls that no record has to come before any more; return what that leads to."""


@runtime_checkable
class Holding(Protocol):
    """A partition whose blocks can be had from it at any time, so that nobody else need keep them."""

    def holds(self, key: bytes) -> bool:
        """Whether `block` returns what stands under this key."""

    def block(self, key: bytes) -> bytes:
        """What stands under a key that it holds, as of now."""
