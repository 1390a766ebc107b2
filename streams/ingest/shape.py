"""The one shape that the fast path reads: PREFIX TS,"value":NUMBER} where PREFIX ends in `"ts":`.

Why a prefix seen once decides for good. A JSON reader's state after PREFIX depends on PREFIX alone. Where the
strict decoder has accepted one sample that began with it, that state was "the value of the key ts is next".
The bytes `"ts":` cannot lie inside a string: the second quote is not escaped, so it begins or ends one; were
it to begin one, the first quote would have ended one, and a bare `ts` would follow, which is no JSON. And an
integer is accepted as the value of no key but `ts` and `value`. From that state on, TS, the comma, the key
`value`, NUMBER and the brace are the rest of the sample, whatever their digits. So metric and labels are a
function of PREFIX, and only TS and NUMBER are read again.

One space after each colon and comma of the shape is allowed, as Python's json.dumps writes it.

Kernels take addresses into a buffer with at least `PADDING` readable bytes behind the records.
"""

import numpy as np
from numba import njit

from streams.ingest.machine import find_ts, load8, load64, store64, trailing_zeros
from streams.ingest.numbers import to_double

PADDING = 64

_U = np.uint64
_ZERO, _NINE = _U(ord("0")), _U(9)
_MINUS, _PLUS, _DOT = _U(ord("-")), _U(ord("+")), _U(ord("."))
_COMMA, _SPACE, _E, _LOWER = _U(ord(",")), _U(ord(" ")), _U(ord("e")), _U(0x20)
_CLOSE, _OPEN_LIST, _CLOSE_LIST = _U(ord("}")), _U(ord("[")), _U(ord("]"))
_VALUE = _U(int.from_bytes(b'"value":', "little"))
_TEN = _U(10)
_ONE = _U(1)
_NO_TIME = np.int64(-1)


@njit(cache=True, nogil=True, forceinline=True)
def elements(start, end, earliest, latest, time, value, prefix, length, at):  # type: ignore[no-untyped-def]
    """Read the record at addresses `start` to `end`, one sample or a list, into arrays from entry `at` on.

    `time`, `value`, `prefix` (addresses) and `length` (bytes) are the addresses of arrays of 8-byte entries:
    passing arrays would count references, which took longer here than all the rest. Returns one past the
    last entry written, or -1 where the record is not of the shape or a time is not in `earliest`..`latest`.
    """
    if end - start < 16:
        return -1
    if load8(start) != _OPEN_LIST:
        if load8(end - 1) != _CLOSE:
            return -1
        after = _element(start, end, earliest, latest, time, value, prefix, length, at)
        return at + 1 if after == end else -1
    if load8(end - 1) != _CLOSE_LIST:
        return -1
    place = start + 1
    while True:
        place = _element(place, end, earliest, latest, time, value, prefix, length, at)
        if place < 0:
            return -1
        at += 1
        if load8(place) != _COMMA:
            return at if place == end - 1 else -1
        place += 1
        if load8(place) == _SPACE:
            place += 1


@njit(cache=True, nogil=True, forceinline=True)
def _element(start, end, earliest, latest, time, value, prefix, length, at):  # type: ignore[no-untyped-def]
    """Address behind the first sample that begins at `start`, or -1 where there is none before `end`."""
    block = start
    while block < end:
        found = find_ts(block)
        while found:
            place = block + trailing_zeros(found) + 5
            if load8(place) == _SPACE:
                place += 1
            moment, number, after = _rest(place)
            if after > 0:
                if after > end or moment < earliest or moment > latest:
                    return -1
                store64(time + 8 * at, moment)
                store64(value + 8 * at, number)
                store64(prefix + 8 * at, start)
                store64(length + 8 * at, place - start)
                return after
            found &= found - _ONE
        block += 32
    return -1


@njit(cache=True, nogil=True, forceinline=True)
def _rest(place):  # type: ignore[no-untyped-def]
    """Time, value and the address behind the brace of `TS,"value":NUMBER}`; address -1 where it differs."""
    first = place
    moment = _U(0)
    digit = load8(place) - _ZERO
    while digit <= _NINE:
        moment = moment * _TEN + digit
        place += 1
        digit = load8(place) - _ZERO
    digits = place - first
    if digits == 0 or digits > 18 or (digits > 1 and load8(first) == _ZERO) or load8(place) != _COMMA:
        return _NO_TIME, 0.0, -1
    place += 1
    if load8(place) == _SPACE:
        place += 1
    if load64(place) != _VALUE:
        return _NO_TIME, 0.0, -1
    place += 8
    if load8(place) == _SPACE:
        place += 1
    number, place = _number(place)
    if place < 0 or load8(place) != _CLOSE:
        return _NO_TIME, 0.0, -1
    return np.int64(moment), number, place + 1


@njit(cache=True, nogil=True, forceinline=True)
def _number(place):  # type: ignore[no-untyped-def]
    """The double at an address, by JSON's grammar, and the address behind it; -1 where it is not settled."""
    negative = load8(place) == _MINUS
    if negative:
        place += 1
    first = place
    mantissa = _U(0)
    digit = load8(place) - _ZERO
    if digit > _NINE:
        return 0.0, -1
    if digit == 0:
        place += 1
    else:
        while digit <= _NINE:
            mantissa = mantissa * _TEN + digit
            place += 1
            digit = load8(place) - _ZERO
    digits = place - first
    exponent = 0
    whole = True
    if load8(place) == _DOT:
        whole = False
        place += 1
        fraction = place
        digit = load8(place) - _ZERO
        while digit <= _NINE:
            mantissa = mantissa * _TEN + digit
            place += 1
            digit = load8(place) - _ZERO
        exponent = fraction - place
        if exponent == 0:
            return 0.0, -1
        digits -= exponent
    if digits > 19 and digits - _leading_zeros(first) > 19:
        return 0.0, -1
    if (load8(place) | _LOWER) == _E:
        whole = False
        written, place = _exponent(place + 1)
        if place < 0:
            return 0.0, -1
        exponent += written
    if mantissa == 0 and whole:
        return 0.0, place  # the integer -0 has no sign
    number, settled = to_double(mantissa, exponent)
    return (-number if negative else number), (place if settled else -1)


@njit(cache=True, nogil=True)
def _leading_zeros(place):  # type: ignore[no-untyped-def]
    zeros = 0
    while load8(place) == _ZERO or load8(place) == _DOT:
        zeros += load8(place) == _ZERO
        place += 1
    return zeros


@njit(cache=True, nogil=True)
def _exponent(place):  # type: ignore[no-untyped-def]
    negative = load8(place) == _MINUS
    if negative or load8(place) == _PLUS:
        place += 1
    first = place
    written = np.int64(0)
    digit = load8(place) - _ZERO
    while digit <= _NINE and place - first < 6:
        written = written * 10 + np.int64(digit)
        place += 1
        digit = load8(place) - _ZERO
    if place == first or digit <= _NINE:
        return 0, -1
    return (-written if negative else written), place
