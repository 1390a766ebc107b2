"""The fast path through a remote write 1.0 request: where series and samples are, by a compiled kernel."""

from typing import NamedTuple

import numpy as np
from numba import njit

_LABELS, _SAMPLES = 0x0A, 0x12  # fields of a TimeSeries, both length-delimited
_SERIES, _METADATA = 0x0A, 0x1A  # fields of a WriteRequest
_VALUE, _TIMESTAMP = 0x09, 0x10  # fields of a Sample


class Split(NamedTuple):
    """The series of a request.

    Series `i` has its labels, still encoded, in the bytes `starts[i]:ends[i]`, and the samples from
    `first[i]` to `first[i + 1]`. `times` are Unix ms.
    """

    starts: list[int]
    ends: list[int]
    first: list[int]
    times: list[int]
    values: list[float]


def split(data: bytes) -> Split | None:
    """Take a WriteRequest apart; None where it has more than labels and samples, or is malformed.

    What is None here is for the protobuf library to read or to refuse.
    """
    array = np.frombuffer(data, dtype=np.uint8)
    series, samples = _count(array)
    if series < 0:
        return None
    starts = np.empty(series, dtype=np.int64)
    ends = np.empty(series, dtype=np.int64)
    first = np.empty(series + 1, dtype=np.int64)
    times = np.empty(samples, dtype=np.int64)
    values = np.empty(samples, dtype=np.float64)
    if not _fill(array, starts, ends, first, times, values):
        return None
    return Split(starts.tolist(), ends.tolist(), first.tolist(), times.tolist(), values.tolist())


@njit(cache=True, nogil=True)
def _varint(data, place, end):  # type: ignore[no-untyped-def]
    """The varint at `place` and where it ends; a negative end where there is none before `end`."""
    value = np.uint64(0)
    shift = np.uint64(0)
    while place < end and shift < np.uint64(70):
        byte = np.uint64(data[place])
        place += 1
        value |= (byte & np.uint64(0x7F)) << shift
        if byte < np.uint64(0x80):
            return value, place
        shift += np.uint64(7)
    return value, -1


@njit(cache=True, nogil=True)
def _length(data, place, end):  # type: ignore[no-untyped-def]
    """Where the length-delimited field that begins at `place` has its content: from, to; to < 0: nowhere."""
    size, at = _varint(data, place, end)
    if at < 0 or size > np.uint64(end - at):
        return at, -1
    return at, at + np.int64(size)


@njit(cache=True, nogil=True)
def _count(data):  # type: ignore[no-untyped-def]
    """Numbers of series and samples; -1 where there is anything else than metadata-free series."""
    series = 0
    samples = 0
    place = 0
    end = data.shape[0]
    while place < end:
        if data[place] != _SERIES:
            return -1, 0
        at, stop = _length(data, place + 1, end)
        if stop < 0:
            return -1, 0
        series += 1
        labels_over = False
        while at < stop:
            tag = data[at]
            _, past = _length(data, at + 1, stop)
            if past < 0 or tag not in (_LABELS, _SAMPLES) or (tag == _LABELS and labels_over):
                return -1, 0
            if tag == _SAMPLES:
                labels_over = True
                samples += 1
            at = past
        place = stop
    return series, samples


@njit(cache=True, nogil=True)
def _fill(data, starts, ends, first, times, values):  # type: ignore[no-untyped-def]
    """Fill the arrays, whose sizes `_count` gave; False where a sample is not as expected."""
    place = 0
    end = data.shape[0]
    sample = 0
    for i in range(starts.shape[0]):
        at, stop = _length(data, place + 1, end)
        starts[i] = at
        ends[i] = at
        first[i] = sample
        while at < stop:
            tag = data[at]
            inner, past = _length(data, at + 1, stop)
            if tag == _LABELS:
                ends[i] = past
            else:
                times[sample] = 0
                values[sample] = 0.0  # proto3 leaves a zero out
                while inner < past:
                    if data[inner] == _VALUE and inner + 9 <= past:
                        values[sample] = data[inner + 1 : inner + 9].view(np.float64)[0]
                        inner += 9
                    elif data[inner] == _TIMESTAMP:
                        value, inner = _varint(data, inner + 1, past)
                        if inner < 0:
                            return False
                        times[sample] = np.int64(value)
                    else:
                        return False
                sample += 1
            at = past
        place = stop
    first[starts.shape[0]] = sample
    return True
