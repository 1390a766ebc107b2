"""What a step of the pipeline wants written to a topic."""

from typing import NamedTuple

import msgspec

from schemas import encode


class Output(NamedTuple):
    """One record to produce: the topic's plain name (without prefix), its key and its value."""

    topic: str
    key: bytes
    value: bytes


def output(topic: str, key: str, message: msgspec.Struct) -> Output:
    """`message` as a record of `topic` under `key`."""
    return Output(topic, key.encode(), encode(message))
