"""The fast path gives what the strict path gives, on whatever bytes, and it is taken where it should be."""

import json
import math
import re
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.ingest import Decoder, Limits, SeriesIndex
from streams.ingest.numbers import LARGEST, SMALLEST, to_double
from streams.ingest.prefixes import Prefixes
from streams.ingest.scan import Poll, Scanner
from tests.ingest.records import NOW, records
from tests.ingest.sameness import assert_same

LIMITS = Limits(max_series=12, max_prefixes=16, max_age_ms=1_000_000, max_record_bytes=2_000)

T = TypeVar("T")


def mostly(usual: st.SearchStrategy[T], odd: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """One in sixteen is odd: a record is the product of many draws, and some have to be sound throughout."""
    return st.integers(0, 15).flatmap(lambda n: odd if n == 7 else usual)


numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.integers(-(10**25), 10**25).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,22})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(
        ["-0", "-0.0", "-0e0", "0e999", "1e400", "5e-324", "null", "true", "01", "1.", "+1", ".5", "1e"]
    ),
)
times = st.one_of(
    st.integers(NOW - 2_000_000, NOW + 700_000).map(str),
    st.sampled_from(
        ["0", "-1", "01", "1.0", "1e3", "null", '"2023-11-14T22:13:20Z"', "9" * 18, "9" * 19, "true"]
    ),
)
sound_numbers = st.floats(-1e9, 1e9).map(repr) | st.integers(-(10**6), 10**6).map(str)
sound_times = st.integers(NOW - 1_000_000, NOW + 600_000).map(str)
# Few names, so that records share prefixes; odd ones, so that a prefix can lie about its structure.
odd_strings = st.sampled_from(['x"ts', '"ts":1,"value":2}', "\\", "}", "],[{", "", "é", "=", "ts\\u0000"])
strings = mostly(st.sampled_from(["a", "b", "ts", "value", "metric"]), odd_strings)
gaps = st.sampled_from([("", ""), (" ", " "), ("", " ")])
odd_gaps = st.sampled_from([("\n", ""), ("  ", " "), (" ", "\t")])


@st.composite
def samples(draw: st.DrawFn) -> str:
    """Text of one sample: mostly in the usual order, sometimes with repeated, unknown or reordered fields."""
    ascii_only = draw(st.booleans())
    labels = draw(st.lists(st.tuples(strings, strings | odd_strings), max_size=2))
    pairs = ",".join(f"{json.dumps(k, ensure_ascii=ascii_only)}:{json.dumps(v)}" for k, v in labels)
    fields = [("metric", json.dumps(draw(strings))), ("labels", f"{{{pairs}}}")]
    fields += [("ts", draw(mostly(sound_times, times))), ("value", draw(mostly(sound_numbers, numbers)))]
    if draw(mostly(st.just(False), st.just(True))):
        extra = st.tuples(st.sampled_from(["ts", "value", "metric", "schema", "unit"]), numbers | times)
        fields = draw(st.permutations(fields + draw(st.lists(extra, max_size=2))))
    comma, colon = draw(mostly(gaps, odd_gaps))
    return "{" + f",{comma}".join(f'"{name}":{colon}{value}' for name, value in fields) + "}"


lists = st.tuples(st.lists(samples(), max_size=4), mostly(st.sampled_from([",", ", "]), st.just(",\n")))
values = (samples() | lists.map(lambda parts: f"[{parts[1].join(parts[0])}]")).map(str.encode)


@st.composite
def polls(draw: st.DrawFn) -> list[list[bytes | None]]:
    """Some polls of the same few values, whole and damaged: cut, spliced, or with bytes changed."""
    whole = draw(st.lists(values, min_size=1, max_size=5))
    pieces = st.sampled_from(whole)

    @st.composite
    def damaged(draw: st.DrawFn) -> bytes | None:
        value = bytearray(draw(pieces))
        at = draw(st.integers(0, len(value)))
        kind = draw(st.sampled_from(["keep", "digit", "cut", "splice", "insert", "change", "tombstone"]))
        if kind == "cut":
            del value[at:]
        elif kind == "splice":
            other = draw(pieces)
            value[at:] = other[draw(st.integers(0, len(other))) :]
        elif kind == "insert":
            value[at:at] = draw(
                st.sampled_from([b" ", b",", b"}", b"]", b'"ts":', b"0", b"\xff", b"\\", b'"'])
            )
        elif kind == "change" and at < len(value):
            value[at] = draw(st.integers(0, 255))
        elif kind == "digit":
            value = bytearray(re.sub(rb"\d(?=[}\]]*$)", draw(numbers).encode(), bytes(value)))
        elif kind == "tombstone":
            return None
        return bytes(value)

    return [list(whole), *draw(st.lists(st.lists(damaged(), max_size=6), max_size=3)), list(whole)]


@given(polls())
def test_any_bytes_give_what_the_strict_path_gives(parts: list[list[bytes | None]]) -> None:
    assert_same(parts, LIMITS)


@given(st.lists(st.tuples(times, numbers), min_size=1, max_size=8), st.booleans())
@example([("1700000000000", "1.7976931348623157e308"), ("1700000000000", "9007199254740993")], False)
def test_any_numbers_behind_a_known_prefix_give_what_the_strict_path_gives(
    pairs: list[tuple[str, str]], spaced: bool
) -> None:
    gap = " " if spaced else ""
    known = f'{{"metric":"m","labels":{{"a":"b"}},"ts":{gap}'
    warm = f'{known}{NOW},{gap}"value":{gap}1}}'.encode()
    rest = [f'{known}{time},{gap}"value":{gap}{number}}}'.encode() for time, number in pairs]
    assert_same([[warm], list(rest), [b"[" + b",".join([warm, *rest]) + b"]"]], Limits())


@given(st.integers(0, 2**64 - 1), st.integers(SMALLEST - 1, LARGEST + 1))
@example(9007199254740993, 0)
@example(2**64 - 1, LARGEST)
@example(1, SMALLEST)
def test_a_double_that_is_settled_is_the_nearest(mantissa: int, exponent: int) -> None:
    value, settled = to_double(np.uint64(mantissa), exponent)
    if settled:
        assert value == float(f"{mantissa}e{exponent}")


@given(st.integers(2**52, 2**53 - 1), st.integers(0, 9), st.integers(-1, 1))
def test_a_tie_between_doubles_goes_to_the_even_one(bits: int, scale: int, off: int) -> None:
    mantissa = (2 * bits + 1) * 5**scale + off
    if mantissa < 2**64:
        value, settled = to_double(np.uint64(mantissa), -scale)
        assert settled
        assert value == float(f"{mantissa}e{-scale}")


def missed(
    prefixes: Prefixes, index: SeriesIndex, values: list[bytes], limits: Limits | None = None
) -> list[int]:
    """The records that a scan leaves to the strict path."""
    return Scanner(Poll.of(values), prefixes, limits or Limits(), NOW).scan(index.generation)


def native(i: int, ts: int = NOW, value: float = 1.0) -> bytes:
    return f'{{"metric":"m","labels":{{"i":"{i}"}},"ts":{ts},"value":{value!r}}}'.encode()


def taught(values: list[bytes], most: int = 10_000) -> tuple[Prefixes, SeriesIndex]:
    """A table and index that have learnt the series of one-sample records."""
    index, prefixes = SeriesIndex(), Prefixes(most)
    scanner = Scanner(Poll.of(values), prefixes, Limits(), NOW)
    while not scanner.done:
        left = scanner.scan(index.generation)
        rows = {i: [index.row("m", json.loads(values[i])["labels"])] for i in left}
        scanner.learn(rows, index.generation)
    return prefixes, index


def test_known_series_take_the_fast_path_whatever_their_numbers_and_grouping() -> None:
    prefixes, index = taught([native(i) for i in range(5_000)])
    values = [native(i, NOW - i, math.exp(i / 50)) for i in range(5_000)]
    assert missed(prefixes, index, values) == []
    assert (
        missed(prefixes, index, [b"[" + b",".join(values) + b"]", b"[" + b", ".join(values[::-1]) + b"]"])
        == []
    )


def test_python_spacing_takes_the_fast_path() -> None:
    values = [json.dumps(json.loads(native(i))).encode() for i in range(3)]
    prefixes, index = taught(values)
    assert (
        missed(prefixes, index, [*values, json.dumps([json.loads(value) for value in values]).encode()]) == []
    )


def test_what_a_limit_forbids_is_left_to_the_strict_path() -> None:
    prefixes, index = taught([native(1)])
    limits = Limits(max_age_ms=10, max_future_ms=10, max_record_bytes=len(native(1)))
    values = [native(1, NOW + ahead) for ahead in (-11, -10, 10, 11)] + [native(1, value=10.5)]
    assert missed(prefixes, index, values, limits) == [0, 3, 4]


def test_a_released_row_is_never_found_by_an_old_prefix() -> None:
    prefixes, index = taught([native(0), native(1)])
    index.release(0)
    assert missed(prefixes, index, [native(0), native(1)]) == [0]
    assert index.row("m", {"i": "other"}) == 0
    assert missed(prefixes, index, [native(0), native(1)]) == [0]


def test_the_table_stays_within_its_bound_and_follows_what_comes() -> None:
    most = 200
    index = SeriesIndex()
    decoder = Decoder(index, Limits(max_prefixes=most))
    for turn in range(60):
        values = [native(i) for i in range(turn * 50, turn * 50 + 50)]
        for _ in range(2):
            batch = decoder.decode(records(values), NOW)
            assert [index.labels(row)["i"] for row in batch.columns.row] == [
                json.loads(value)["labels"]["i"] for value in values
            ]
    assert decoder.nbytes < 100_000


def test_evicted_series_make_room_for_new_ones() -> None:
    prefixes, index = taught([native(i) for i in range(100)], most=100)
    for row in range(100):
        index.release(row)
    values = [native(i) for i in range(100, 200)]
    scanner = Scanner(Poll.of(values), prefixes, Limits(), NOW)
    assert scanner.scan(index.generation) == list(range(100))
    scanner.learn({i: [index.row("m", {"i": str(100 + i)})] for i in range(100)}, index.generation)
    assert prefixes.count == 100
    assert missed(prefixes, index, values) == []


@pytest.mark.parametrize("size", [1, 7, 64, 65, 1000])
def test_long_lists_of_new_and_known_series(size: int) -> None:
    whole = b"[" + b",".join(native(i) for i in range(size)) + b"]"
    assert_same([[whole, native(0)], [native(size), whole, whole], [whole]], Limits())
