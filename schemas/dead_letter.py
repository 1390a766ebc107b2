"""A record that could not be used, with its reason."""

from schemas.message import Message


class DeadLetter(Message, frozen=True, kw_only=True, tag="deadletter/1"):
    """Where the record was and why it was refused.

    `key` and `value` are base64 of the record's bytes; `value` holds at most its first 256 KiB,
    `size` and `sha256` are those of the whole. `at` is the record's Kafka timestamp (Unix ms).
    """

    topic: str
    partition: int
    offset: int
    reason: str
    at: int
    key: str | None
    value: str | None
    size: int
    sha256: str
