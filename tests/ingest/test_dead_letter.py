"""A dead letter keeps the place of its record and enough of its bytes."""

import base64
import hashlib

from schemas import decode, encode
from schemas.dead_letter import DeadLetter
from streams.ingest import dead_letter
from tests.ingest.records import NOW, record


def test_a_dead_letter_says_where_and_keeps_the_bytes() -> None:
    letter = dead_letter(record(b"\xff{", offset=17), "not JSON")
    assert (letter.topic, letter.partition, letter.offset, letter.at) == ("metrics", 3, 17, NOW)
    assert (letter.reason, letter.size) == ("not JSON", 2)
    assert letter.key == base64.b64encode(b"key").decode()
    assert base64.b64decode(letter.value or "") == b"\xff{"
    assert decode(encode(letter), DeadLetter) == letter


def test_a_large_value_is_cut_and_its_digest_is_of_the_whole() -> None:
    value = bytes(range(256)) * 40_000
    letter = dead_letter(record(value), "too large")
    assert base64.b64decode(letter.value or "") == value[: 256 * 1024]
    assert letter.size == len(value)
    assert letter.sha256 == hashlib.sha256(value).hexdigest()
    assert len(encode(letter)) < 400_000


def test_a_tombstone_has_no_value() -> None:
    letter = dead_letter(record(None), "empty")
    assert (letter.value, letter.size) == (None, 0)
