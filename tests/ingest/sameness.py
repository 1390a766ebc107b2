"""The yardstick of the fast path: the strict path alone, on the same polls."""

from streams.ingest import Decoder, Limits, SeriesIndex
from streams.ingest.strict import Found, StrictPath
from tests.ingest.records import NOW, records


def assert_same(parts: list[list[bytes | None]], limits: Limits) -> None:
    """Decode the polls one after another both ways; everything that comes of them has to be equal."""
    fast_index, strict_index = SeriesIndex(), SeriesIndex()
    decoder, strict = Decoder(fast_index, limits), StrictPath(strict_index, limits)
    for values in parts:
        expected = Found(NOW)
        for i, record in enumerate(records(values)):
            strict.read(i, record, expected)
        batch = decoder.decode(records(values), NOW)
        for name, got, want in zip(batch.columns._fields, batch.columns, expected.columns(), strict=True):
            assert got.dtype == want.dtype
            assert got.tobytes() == want.tobytes(), (name, got, want, values)
        assert batch.rejects == expected.rejects
        assert batch.dropped == {policy: n for policy, n in expected.dropped.items() if n}
        assert batch.stamped == expected.stamped
        keys = [fast_index.key(row) for row in fast_index]
        assert keys == [strict_index.key(row) for row in strict_index]
