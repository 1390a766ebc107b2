"""The base of every message, and strict decoding whose errors name the path."""

from functools import cache
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


class SchemaError(ValueError):
    """The bytes are not the message that was expected; the text names the path and what was expected."""


class Message(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="schema",
    tag=lambda name: f"{name.lower()}/1",
):
    """A message on a topic: frozen data that carries its schema's name and version in `schema`."""


@cache
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind, strict=True)


def decode(data: bytes, kind: type[T]) -> T:
    """Decode JSON `data` as `kind` (a struct, or a union of messages told apart by `schema`).

    Raises:
        SchemaError: the bytes are not JSON, or not of that kind; the text names the path.
    """
    try:
        message: T = _decoder(kind).decode(data)  # type: ignore[arg-type]
    except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SchemaError(str(error)) from error
    return message


_encoder = msgspec.json.Encoder(order="deterministic")


def encode(message: msgspec.Struct) -> bytes:
    """Encode `message` as JSON, the same bytes for equal messages."""
    return _encoder.encode(message)
