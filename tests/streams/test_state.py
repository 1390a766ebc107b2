"""Blocks that the state of a partition has in memory are not kept twice."""

from collections.abc import Iterator

import pytest

from streams.cold import ColdStore
from streams.partition import COLD
from streams.state import Blocks


@pytest.fixture
def blocks() -> Iterator[Blocks]:
    """The blocks 1 and 2 and a setting, as the owner of epoch 5 wrote them."""
    cold = ColdStore()
    made = Blocks(cold, 0)
    for key in (b"1", b"2", b"setting"):
        made.put(key, 5, b"old " + key)
    yield made
    cold.close()


def test_lent_blocks_have_no_bytes_until_they_are_taken_back(blocks: Blocks) -> None:
    blocks.lend(bytes.isdigit)
    blocks.put(b"2", 7, b"new 2")
    blocks.put(b"3", 7, b"new 3")
    blocks.put(b"setting", 7, b"new")
    assert blocks.blocks == {b"setting": b"new"}
    blocks.drop(b"1")
    blocks.take_back(lambda key: b"now " + key)
    assert blocks.blocks == {b"setting": b"new", b"2": b"now 2", b"3": b"now 3"}
    blocks.put(b"2", 8, b"newer")
    assert blocks.blocks[b"2"] == b"newer"


def test_lent_blocks_are_outdone_as_others(blocks: Blocks) -> None:
    blocks.lend(bytes.isdigit)
    blocks.put(b"1", 7, b"new")
    blocks.drop(b"2")
    assert blocks.stale == {b"5:1", b"5:2"}
    assert blocks.record(b"1") == b"7:1"
    assert blocks.record(b"2") is None


def test_cold_ones_wait_on_disk(blocks: Blocks) -> None:
    blocks.lend(bytes.isdigit)
    blocks.put(COLD + b"a", 7, b"asleep")
    assert COLD + b"a" not in blocks.blocks
    assert blocks.record(COLD + b"a") == b"7:" + COLD + b"a"
