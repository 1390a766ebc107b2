"""Event times: RFC 3339 text and integers of a guessed unit, to Unix milliseconds."""

from datetime import UTC, datetime, timedelta

import msgspec

from schemas import SchemaError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def parse_rfc3339(text: str) -> int:
    """Unix milliseconds of an RFC 3339 time, finer digits cut off.

    >>> parse_rfc3339("2020-01-01T00:00:00.25Z")
    1577836800250

    Raises:
        SchemaError: not RFC 3339, or without an offset from UTC.
    """
    try:
        moment = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise SchemaError(f"Expected RFC 3339 as 2020-01-01T00:00:00Z, got {text[:64]!r}")
    return (moment - _EPOCH) // _MILLISECOND


def guess_unit(time: int) -> int:
    """Unix milliseconds of a Unix time in s, ms, us or ns, told apart by magnitude.

    Below 1e11 it is seconds (to the year 5138), below 1e14 milliseconds (from 1973), below 1e17
    microseconds, else nanoseconds.

    >>> [guess_unit(t) for t in (1458229140, 1458229140000, 1458229140000000, 1458229140000000000)]
    [1458229140000, 1458229140000, 1458229140000, 1458229140000]
    """
    if abs(time) < 10**11:
        return time * 1000
    if abs(time) < 10**14:
        return time
    if abs(time) < 10**17:
        return time // 1000
    return time // 1_000_000
