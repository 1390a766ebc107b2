"""Blocks in a changelog that two owners write to: those of the newer one count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.epochs import OWNER, Newest, tagged, untagged

Write = tuple[int, bytes, bytes]  # epoch, block, value

WRITES = st.lists(
    st.tuples(st.sampled_from([0, 7, 12]), st.sampled_from([b"0", b"1", b"cold/a:b"]), st.binary(max_size=2)),
    max_size=30,
)


def _wanted(writes: list[Write]) -> dict[bytes, bytes]:
    """Of each block what the highest epoch has written last."""
    best: dict[bytes, tuple[int, bytes]] = {}
    for epoch, key, value in writes:
        if key not in best or epoch >= best[key][0]:
            best[key] = (epoch, value)
    return {key: value for key, (_, value) in best.items()}


def _compacted(log: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Of each key the last record, where it stood."""
    return [(key, value) for i, (key, value) in enumerate(log) if key not in dict(log[i + 1 :])]


@given(WRITES, st.integers(0, 30))
def test_the_highest_epoch_counts_in_any_order_and_after_any_compaction(
    writes: list[Write], compacted: int
) -> None:
    log = [(tagged(epoch, key), value) for epoch, key, value in writes]
    found = Newest()
    for raw, value in [*_compacted(log[:compacted]), *log[compacted:]]:
        found.apply(raw, value)
    assert found.blocks == _wanted(writes)
    standing = {found.record(key) for key in found.blocks}
    assert found.stale == {raw for raw, _ in log} - standing


@given(WRITES)
def test_what_is_stale_can_be_removed(writes: list[Write]) -> None:
    found = Newest()
    for epoch, key, value in writes:
        found.apply(tagged(epoch, key), value)
    for raw in set(found.stale):
        found.apply(raw, None)
    assert found.stale == set()
    assert found.blocks == _wanted(writes)


def test_an_owner_writes_in_place_of_its_predecessors_and_forgets_for_them() -> None:
    found = Newest()
    found.apply(OWNER, b"")
    found.apply(tagged(3, b"0"), b"old")
    found.apply(tagged(3, b"1"), b"old")
    found.put(b"0", 9, b"new")
    found.drop(b"1")
    assert found.blocks == {b"0": b"new"}
    assert found.stale == {tagged(3, b"0"), tagged(3, b"1")}


def test_what_is_no_key_of_a_block_is_told() -> None:
    assert untagged(tagged(5, b"a:b")) == (5, b"a:b")
    with pytest.raises(ValueError, match="expected EPOCH:KEY"):
        Newest().apply(b"12", b"")
