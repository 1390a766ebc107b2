"""Dead letters: where a refused record was, why, and enough of its bytes to look into it."""

import base64
import hashlib
from typing import Protocol

from schemas import DeadLetter

KEPT_BYTES = 256 * 1024
_KEPT_KEY_BYTES = 4 * 1024


class Record(Protocol):
    """What is read of a consumed record; aiokafka's `ConsumerRecord` has it."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


def dead_letter(record: Record, reason: str) -> DeadLetter:
    """The dead letter of `record`; the same record and reason give the same letter.

    `value` keeps the first 256 KiB, `key` the first 4 KiB, `size` and `sha256` are of the whole value
    (0 and the digest of no bytes where it is absent).
    """
    value = record.value
    whole = value or b""
    return DeadLetter(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        reason=reason,
        at=record.timestamp,
        key=None if record.key is None else base64.b64encode(record.key[:_KEPT_KEY_BYTES]).decode(),
        value=None if value is None else base64.b64encode(value[:KEPT_BYTES]).decode(),
        size=len(whole),
        sha256=hashlib.sha256(whole).hexdigest(),
    )
