"""Which format a record is in: its content decides, its header only says whose error to report."""

import contextlib
from collections.abc import Iterable

import msgspec

from streams.ingest import native, otlp, prometheus, telegraf
from streams.ingest.points import Fault, FormatError, Parsed, Reader

FORMAT_HEADER = "tidegate-format"
"""Record header that names the format: `native`, `prometheus`, `telegraf` or `otlp`."""

READERS: dict[str, Reader] = {
    "native": native.read,
    "prometheus": prometheus.read,
    "telegraf": telegraf.read,
    "otlp": otlp.read,
}
# The field that a format has and the others have not, to tell which one a faulty record was meant to be.
_MARKS = (
    ("metric", "native"),
    ("fields", "telegraf"),
    ("metrics", "telegraf"),
    ("name", "prometheus"),
    ("resourceMetrics", "otlp"),
)

Headers = Iterable[tuple[str, bytes | None]]

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_elements = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


class FormatReader:
    """Reads records in whichever format each is.

    A record without a fault in one format has no good sample in another, so the format of the record before
    is tried first: it saves time and changes nothing.
    """

    def __init__(self) -> None:
        self._last = "native"

    def read(self, data: bytes, headers: Headers) -> Parsed:
        """Read one record.

        Raises:
            FormatError: it is in no format; the fault is that of the format it resembles.
        """
        with contextlib.suppress(FormatError):
            parsed = READERS[self._last](data)
            if not parsed.faults:
                return parsed
        faults: dict[str, Fault] = {}
        for name, reader in READERS.items():
            try:
                parsed = reader(data)
            except FormatError as error:
                faults[name] = error.fault
            else:
                self._last = name
                return parsed
        raise FormatError(_explain(data, headers, faults))


def _explain(data: bytes, headers: Headers, faults: dict[str, Fault]) -> Fault:
    for header, value in headers:
        if header == FORMAT_HEADER and value is not None:
            named = value.decode("utf-8", "replace")
            if named in faults:
                return faults[named]
            return Fault(
                f"header {FORMAT_HEADER}", f"Expected one of {', '.join(READERS)}, got {named[:64]!r}"
            )
    return faults[_resembles(data)]


def _resembles(data: bytes) -> str:
    try:
        present = set(_fields.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            present = set().union(*_elements.decode(data))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return "native"
    return next((name for mark, name in _MARKS if mark in present), "native")
