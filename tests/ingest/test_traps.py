"""Bytes made to lead the fast path astray, and prefixes made to share a hash."""

import numpy as np
import pytest

from streams.ingest import Limits
from streams.ingest.prefixes import KEYS, Prefixes, find, hash_bytes, insert
from streams.ingest.shape import PADDING
from tests.ingest.records import NOW
from tests.ingest.sameness import assert_same


def sample(metric: str, rest: str) -> bytes:
    return f'{{"metric":"{metric}",{rest}}}'.encode()


A, B = sample("a", f'"ts":{NOW},"value":1'), sample("b", f'"ts":{NOW},"value":2')
ODD = sample("odd", f'"value":3,"ts":{NOW}')
REFUSED = sample("{", f'"ts":{NOW},"value":4')


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(sample("a", f'"ts":{2**64 + NOW},"value":1'), id="a time that wraps to now in 64 bits"),
        pytest.param(
            sample("a", f'"ts":{NOW},"value":1{"0" * 19}1'), id="a value of more digits than 64 bits"
        ),
        pytest.param(b"[" + A + b"],[" + B + b"]", id="two lists"),
        pytest.param(b"[" + A + b"]", id="one list"),
        pytest.param(A + B, id="two samples without a comma"),
        pytest.param(A + b"," + B, id="two samples without brackets"),
        pytest.param(b"[" + A + b"," + B, id="a list that is not closed"),
        pytest.param(b"[" + A + b",]", id="a list that ends in a comma"),
        pytest.param(
            b"[" + ODD + b"," + A + b"]", id="a sample of another shape hides in the next one's prefix"
        ),
        pytest.param(
            b"[" + ODD + b"," + A + b"," + REFUSED + b"]", id="as many used samples as shapes, by chance"
        ),
        pytest.param(b"[" + A + b"," + ODD + b"]", id="a list that ends in another shape"),
    ],
)
def test_traps_give_what_the_strict_path_gives(value: bytes) -> None:
    assert_same([[value, value], [A, B], [value, value, A]], Limits())


def test_prefixes_of_one_hash_are_told_apart() -> None:
    # A word that equals the hash's key wipes out all that was hashed before it, and a short rest behind it.
    wipe = KEYS[1].tobytes()
    known = b"x" * 16 + wipe + b"second  rest"
    others = [
        b"y" * 16 + wipe + b"second  rest",
        b"x" * 16 + wipe + b"another rest",
        b"x" * 16 + wipe + b"second  pest",
        b"x" * 16 + wipe + b"second  rests",
        known[:32],
    ]
    prefixes, generation = Prefixes(10), np.zeros(1024, np.uint32)
    mask = np.uint64(len(prefixes.slots) - 1)
    tables = prefixes.slots.ctypes.data, mask, prefixes.arena.ctypes.data, generation.ctypes.data

    data = np.frombuffer(known + bytes(PADDING), np.uint8)
    hashed = hash_bytes(data.ctypes.data, len(known))
    insert(data.ctypes.data, len(known), 7, prefixes.slots, prefixes.arena, 0, generation)
    assert find(data.ctypes.data, len(known), hashed, *tables) == 7
    for other in others:
        data = np.frombuffer(other + bytes(PADDING), np.uint8)
        assert hash_bytes(data.ctypes.data, len(other)) == hashed
        assert find(data.ctypes.data, len(other), hashed, *tables) == -1
