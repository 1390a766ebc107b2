"""Batches are read as aiokafka reads them, and what is damaged is refused without harm."""

import pytest
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from hypothesis import given
from hypothesis import strategies as st

from streams.ingest import Decoder, Limits, SeriesIndex
from streams.ingest.record_set import (
    PORTION_BYTES,
    RawRecord,
    RecordSet,
    is_readable,
    offsets_of,
    read_batches,
)
from tests.ingest.batches import PARTITION, TOPIC, Entry, batch, read_by_aiokafka, set_attributes
from tests.ingest.records import NOW, records

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
LOG_APPEND_TIME, CONTROL = 0x08, 0x20

some_bytes = st.none() | st.binary(max_size=200)
entries = st.tuples(
    st.integers(0, 2**50),
    some_bytes,
    some_bytes,
    st.lists(
        st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), some_bytes), max_size=2
    ),
)
batches = st.lists(
    st.tuples(
        st.lists(entries, min_size=1, max_size=5),
        st.sampled_from([0, GZIP, SNAPPY, LZ4, ZSTD]),
        st.sampled_from([0, 0, LOG_APPEND_TIME]),
        st.integers(0, 3),
    ),
    max_size=4,
)


def fetched(parts: list[tuple[list[Entry], int, int, int]], base: int = 1000) -> bytes:
    """Batches one after another, some with a gap of offsets before them as compaction leaves it."""
    data = b""
    for some, codec, attributes, gap in parts:
        base += gap
        data += batch(base, some, codec=codec, attributes=attributes)
        base += len(some)
    return data


def read(data: bytes, first: int = 0, *, check_crcs: bool = True) -> tuple[RecordSet, int]:
    got, end, rest = read_batches(TOPIC, PARTITION, data, first, check_crcs=check_crcs)
    assert not len(rest)
    return got, end


@given(batches, st.integers(0, 9), st.integers(0, 40))
def test_records_are_those_that_aiokafka_reads(
    parts: list[tuple[list[Entry], int, int, int]], into: int, cut: int
) -> None:
    # A broker answers with batches from the one on that holds the offset asked for.
    first = 995 + min(into, 4 + parts[0][3] + len(parts[0][0])) if parts else 995
    data = fetched(parts)
    data = data[: len(data) - cut]
    expected, following = read_by_aiokafka(data, first)
    got, end = read(data, first)
    assert is_readable(data)
    assert [(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in got] == [
        (r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers) for r in expected
    ]
    assert got.offsets.tolist() == [r.offset for r in expected]
    assert offsets_of(got).tolist() == offsets_of(expected).tolist()
    assert end == max(first, following)


@given(batches, st.integers(0, 9), st.integers(1, 12), st.sampled_from([1, 20, 1 << 20]))
def test_portions_are_whole_batches_and_make_up_the_whole(
    parts: list[tuple[list[Entry], int, int, int]], into: int, records: int, size: int
) -> None:
    first = 995 + min(into, 4 + parts[0][3] + len(parts[0][0])) if parts else 995
    whole, end = read(fetched(parts), first)
    got: list[RawRecord] = []
    following, rest = first, fetched(parts)
    while len(rest):
        portion, following, rest = read_batches(
            TOPIC, PARTITION, rest, following, check_crcs=True, records=records, size=size
        )
        assert len(portion) < records + max((len(some) for some, *_ in parts), default=0)
        assert len(portion) == 0 or following > portion[-1].offset
        got += portion
    assert (got, following) == (list(whole), end)


def test_a_portion_is_bounded_in_bytes() -> None:
    large: Entry = (NOW, None, b"x" * (PORTION_BYTES // 4), [])
    rest: bytes | memoryview = fetched([([large], LZ4, 0, 0)] * 9)
    sizes = []
    following = 0
    while len(rest):
        got, following, rest = read_batches(TOPIC, PARTITION, rest, following, check_crcs=True, records=1000)
        sizes.append(len(got))
    assert sizes == [4, 4, 1]


def test_control_batches_are_passed_over_but_move_the_position() -> None:
    marker: Entry = (NOW, b"\0\0\0\1", b"\0\0\0\0\0\0", [])
    data = batch(5, [(NOW, None, b"a", [])]) + batch(6, [marker], attributes=CONTROL)
    got, end = read(data)
    assert [record.value for record in got] == [b"a"]
    assert end == 7


def test_slices_and_negative_places_are_those_of_a_list() -> None:
    data = fetched([([(NOW + i, None, b"%d" % i, []) for i in range(10)], LZ4, 0, 0)])
    got, _ = read(data)
    assert [record.value for record in got[3:5]] == [b"3", b"4"]
    assert (got[-1].value, got[2:][0].offset, len(got[20:])) == (b"9", 1002, 0)
    assert got[0] == RawRecord(TOPIC, PARTITION, 1000, NOW, None, b"0", ())
    with pytest.raises(IndexError):
        got[10]


@given(
    st.lists(
        st.none()
        | st.sampled_from([b"", b"{", b"[]"])
        | st.integers(0, 9).map(
            lambda i: f'{{"metric":"m","labels":{{"i":"{i % 3}"}},"ts":{NOW + i},"value":{i}.5}}'.encode()
        ),
        max_size=12,
    ),
    st.integers(0, 12),
)
def test_decoding_gives_the_same_as_from_a_list_of_records(values: list[bytes | None], cut: int) -> None:
    data = batch(100, [(NOW, b"key", value, []) for value in values]) if values else b""
    whole, _ = read(data)
    one, other = Decoder(SeriesIndex(), Limits()), Decoder(SeriesIndex(), Limits())
    for part in (whole, whole[cut:], whole[:cut]):
        got = one.decode(part, NOW)
        want = other.decode(records([record.value for record in part]), NOW)
        assert [column.tolist() for column in got.columns] == [column.tolist() for column in want.columns]
        assert (got.rejects, got.dropped, got.stamped) == (want.rejects, want.dropped, want.stamped)


def test_a_wrong_checksum_is_refused_where_it_is_checked() -> None:
    data = bytearray(batch(7, [(NOW, None, b"value", [])]))
    data[-3] ^= 1
    with pytest.raises(CorruptRecordException, match="CRC - the batch at offset 7 of metrics-3"):
        read(bytes(data))
    assert read(bytes(data), check_crcs=False)[0][0].value != b"value"


def test_an_unknown_compression_is_refused() -> None:
    data = bytearray(batch(7, [(NOW, None, b"value", [])]))
    set_attributes(data, 7)
    with pytest.raises(UnsupportedCodecError, match="compression 7"):
        read(bytes(data))


def test_an_older_message_format_is_left_to_aiokafka() -> None:
    data = bytearray(batch(7, [(NOW, None, b"value", [])]))
    data[16] = 1
    assert not is_readable(bytes(data))


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_batches_are_refused_or_read_within_their_bytes(damage: list[tuple[int, int]]) -> None:
    data = bytearray(batch(0, [(NOW, b"key", b"value %d" % i, [("h", b"x")]) for i in range(20)]))
    head = 61
    for at, byte in damage:
        data[head + at % (len(data) - head)] = byte
    try:
        got, _ = read(bytes(data), check_crcs=False)
        total = sum(len(record.key or b"") + len(record.value or b"") for record in got)
    except CorruptRecordException:
        return
    assert total <= len(data)


def test_a_batch_that_claims_more_records_than_fit_is_refused() -> None:
    data = bytearray(batch(0, [(NOW, None, b"value", [])]))
    data[57:61] = b"\x7f\xff\xff\xff"
    with pytest.raises(CorruptRecordException, match="do not fit"):
        read(bytes(data), check_crcs=False)
