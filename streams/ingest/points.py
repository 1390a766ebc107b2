"""What every format is read into, and the strict reading of one object or a list of them."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from schemas import SchemaError

T = TypeVar("T")
_JSON_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Point(NamedTuple):
    """One sample as it was written. `time` is Unix ms, None where absent; `value` None where null."""

    path: str
    metric: str
    labels: dict[str, str]
    time: int | None
    value: float | None


class Fault(NamedTuple):
    """One part of a record that is not data, by its JSON path."""

    path: str
    reason: str


class Parsed(NamedTuple):
    """What one record holds. `not_numeric` counts values that are data and no numbers."""

    points: list[Point]
    faults: list[Fault]
    not_numeric: int = 0


Reader = Callable[[bytes], Parsed]
"""Reads one record of one format.

Raises:
    FormatError: the record is not JSON, or no part of it is of the format.
"""


class FormatError(SchemaError):
    """The record as a whole is not of the format; `fault` says where it first differs."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(f"{fault.path}: {fault.reason}")
        self.fault = fault


class Strict(Generic[T]):
    """Decodes a record as one `kind` or a list of them; a bad element of a list spoils only itself."""

    def __init__(self, kind: type[T]) -> None:
        self._one: msgspec.json.Decoder[T] = msgspec.json.Decoder(kind)
        self._any: msgspec.json.Decoder[Any] = msgspec.json.Decoder(kind | list[kind])  # type: ignore[valid-type]
        self._raw: msgspec.json.Decoder[list[msgspec.Raw]] = msgspec.json.Decoder(list[msgspec.Raw])

    def decode(self, data: bytes, faults: list[Fault], at: str = "$") -> Iterator[tuple[str, T]]:
        """Each good object with its path; what is bad is added to `faults`.

        Raises:
            FormatError: nothing in `data` is good.
        """
        try:
            found = self._any.decode(data)
        except _JSON_ERRORS as error:
            found, whole = None, fault_of(error, at)
        if found is None:
            yield from self._decode_elements(data, faults, at, whole)
        elif isinstance(found, list):
            for i, item in enumerate(found):
                yield f"{at}[{i}]", item
        else:
            yield at, found

    def _decode_elements(
        self, data: bytes, faults: list[Fault], at: str, whole: Fault
    ) -> Iterator[tuple[str, T]]:
        try:
            elements = self._raw.decode(data)
        except _JSON_ERRORS:
            raise FormatError(whole) from None
        good = 0
        for i, element in enumerate(elements):
            try:
                item = self._one.decode(element)
            except _JSON_ERRORS as error:
                faults.append(fault_of(error, f"{at}[{i}]"))
            else:
                good += 1
                yield f"{at}[{i}]", item
        if not good:
            raise FormatError(whole)


def fault_of(error: Exception, at: str) -> Fault:
    """The fault that a decoding error tells, with its path below `at`."""
    if isinstance(error, UnicodeDecodeError):
        return Fault(at, f"Expected UTF-8, got byte 0x{error.object[error.start]:02x} ({error.reason})")
    if isinstance(error, RecursionError):
        return Fault(at, "JSON is nested too deeply")
    reason, _, path = str(error).partition(" - at `$")
    return Fault(at + re.sub(r"`$", "", path), reason)
