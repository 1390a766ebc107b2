"""What a step of the pipeline wants written to a topic."""

from typing import NamedTuple

import msgspec

from schemas import encode


class Output(NamedTuple):
    """One record to produce: the topic's plain name (without prefix), its key and its value.

    `partition` is given where the key does not decide.
    """

    topic: str
    key: bytes
    value: bytes
    partition: int | None = None


def output(topic: str, key: str, message: msgspec.Struct) -> Output:
    """`message` as a record of `topic` under `key`."""
    return Output(topic, key.encode(), encode(message))
