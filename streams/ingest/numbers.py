"""Correctly rounded doubles from decimal digits, inside a Numba kernel.

Small cases are exact in one operation (Clinger, How to Read Floating Point Numbers Accurately, 1990), the
rest go by one or two 128-bit products (Lemire, Number Parsing at a Gigabyte per Second, 2021, section 5).
What neither settles is left to the caller's slow path.
"""

import numpy as np
from numba import njit

from streams.ingest.machine import double_of_bits, leading_zeros, multiply

_U = np.uint64
# Exponents for which mantissa * 10**exponent is a normal double, whatever 1 <= mantissa < 2**64.
SMALLEST, LARGEST = -300, 288


def _power_of_five(exponent: int) -> int:
    """The 128 highest bits of 5**exponent: rounded down, but up where its inverse fits 64 bits (from -27)."""
    if exponent >= 0:
        power: int = 5**exponent
        shift = power.bit_length() - 128
        return power >> shift if shift >= 0 else power << -shift
    power = 5**-exponent
    quotient: int = (1 << (power.bit_length() + 256)) // power
    return (quotient >> (quotient.bit_length() - 128)) + (exponent >= -27)


_POWERS = [_power_of_five(exponent) for exponent in range(SMALLEST, LARGEST + 1)]
_HIGH = np.array([power >> 64 for power in _POWERS], dtype=np.uint64)
_LOW = np.array([power & (2**64 - 1) for power in _POWERS], dtype=np.uint64)
_EXACT = np.array([10.0**exponent for exponent in range(23)])

_ONE = _U(1)
_ALL = _U(2**64 - 1)
_NINE_BITS = _U(2**9 - 1)
_HIDDEN_BIT = _U(1 << 52)


@njit(cache=True, nogil=True, forceinline=True)
def to_double(mantissa, exponent):  # type: ignore[no-untyped-def]
    """`mantissa * 10**exponent` (uint64, int64) rounded to nearest even, and whether that was settled."""
    if mantissa == 0:
        return 0.0, True
    if -22 <= exponent <= 22 and mantissa <= _U(1 << 53):
        if exponent < 0:
            return np.float64(mantissa) / _EXACT[-exponent], True
        return np.float64(mantissa) * _EXACT[exponent], True
    if exponent < SMALLEST or exponent > LARGEST:
        return 0.0, False
    return _by_product(mantissa, exponent)


@njit(cache=True, nogil=True, forceinline=True)
def _by_product(mantissa, exponent):  # type: ignore[no-untyped-def]
    zeros = leading_zeros(mantissa)
    word = mantissa << _U(zeros)
    high, low = multiply(word, _HIGH[exponent - SMALLEST])
    if (high & _NINE_BITS) == _NINE_BITS:
        # The cut-off half of the power may carry into the bits that are kept.
        carry, _ = multiply(word, _LOW[exponent - SMALLEST])
        low += carry
        if low < carry:
            high += _ONE
    if low == _ALL and (exponent < -27 or exponent > 55):
        return 0.0, False
    top = high >> _U(63)
    shift = top + _U(9)
    bits = high >> shift
    if low <= _ONE and -4 <= exponent <= 23 and (bits & _U(3)) == _ONE and (bits << shift) == high:
        # Exactly between two doubles: to the even one.
        bits &= ~_ONE
    bits = (bits + (bits & _ONE)) >> _ONE
    power = ((152170 + 65536) * exponent >> 16) + 63 + np.int64(top) - zeros + 1023
    if bits >= _HIDDEN_BIT << _ONE:
        bits = _HIDDEN_BIT
        power += 1
    return double_of_bits((bits & ~_HIDDEN_BIT) | (_U(power) << _U(52))), True
