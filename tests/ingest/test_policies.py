"""The stated policies: each drops or refuses what it says and nothing beside it."""

import pytest

from streams.ingest import Batch, Decoder, Limits, SeriesIndex
from tests.ingest.records import NOW, record, records


def decode(value: bytes, limits: Limits | None = None, timestamp: int = NOW) -> Batch:
    return Decoder(SeriesIndex(), limits or Limits()).decode([record(value, timestamp=timestamp)], NOW)


def native(metric: str = "m", labels: str = "{}", ts: int = NOW) -> bytes:
    return f'{{"metric":"{metric}","labels":{labels},"ts":{ts},"value":1}}'.encode()


def test_null_is_a_missing_sample_and_makes_no_series() -> None:
    index = SeriesIndex()
    batch = Decoder(index, Limits()).decode(records([b'{"metric":"m","value":null}']), NOW)
    assert len(batch.columns.row) == 0
    assert batch.rejects == []
    assert batch.dropped == {"missing": 1}
    assert len(index) == 0


@pytest.mark.parametrize(("ahead", "refused"), [(600_000, False), (600_001, True), (10**30, True)])
def test_times_too_far_ahead_are_refused(ahead: int, refused: bool) -> None:
    batch = decode(native(ts=NOW + ahead))
    assert [reject.record for reject in batch.rejects] == [0] * refused
    assert len(batch.columns.time) == 1 - refused


def test_a_time_before_1970_and_a_record_without_any_time_are_refused() -> None:
    assert "since 1970" in decode(native(ts=-1)).rejects[0].reason
    assert "since 1970" in decode(b'{"metric":"m","value":1}', timestamp=-1).rejects[0].reason


def test_old_samples_are_dropped_only_where_a_limit_is_set() -> None:
    assert decode(native(ts=0)).columns.time.tolist() == [0]
    limits = Limits(max_age_ms=1000)
    assert decode(native(ts=NOW - 1000), limits).columns.time.tolist() == [NOW - 1000]
    batch = decode(native(ts=NOW - 1001), limits)
    assert (len(batch.columns.time), batch.rejects, batch.dropped) == (0, [], {"too-old": 1})


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (native(metric=""), "$.metric", "1 to 255 characters, got 0"),
        (native(metric="x" * 256), "$.metric", "got 256"),
        (native(metric="a{b"), "$.metric", "got '{'"),
        (native(metric="a\\u0000"), "$.metric", "control characters"),
        (native(labels='{"":"x"}'), "$.labels.", "1 to 128 characters"),
        (native(labels=f'{{"{"n" * 129}":"x"}}'), "$.labels." + "n" * 64, "got 129"),
        (native(labels='{"a=\\"1\\",b":"x"}'), '$.labels.a="1",b', "got '='"),
        (native(labels=f'{{"a":"{"v" * 1025}"}}'), "$.labels.a", "at most 1024 characters, got 1025"),
        (
            native(labels="{" + ",".join(f'"l{i}":""' for i in range(65)) + "}"),
            "$.labels",
            "at most 64 labels, got 65",
        ),
    ],
)
def test_absurd_label_sets_are_refused(value: bytes, path: str, reason: str) -> None:
    (reject,) = decode(value).rejects
    assert reject.path == path
    assert reason in reject.reason


def test_label_sets_at_the_limits_are_accepted() -> None:
    labels = ",".join(f'"l{i}":"{"ä" * 1024}"' for i in range(63)) + f',"{"n" * 128}":"日本 {{}}=,"'
    batch = decode(native(metric="x" * 255, labels="{" + labels + "}"))
    assert (len(batch.columns.row), batch.rejects) == (1, [])


def test_the_series_limit_names_the_label_that_explodes_and_spares_known_series() -> None:
    index = SeriesIndex()
    values = [native(labels=f'{{"request":"{i}","zone":"{i % 2}"}}') for i in range(8)]
    batch = Decoder(index, Limits(max_series=5)).decode(records([*values, values[0]]), NOW)
    assert batch.columns.record.tolist() == [0, 1, 2, 3, 4, 8]
    assert [reject.record for reject in batch.rejects] == [5, 6, 7]
    assert 'm{request="5",zone="1"}' in batch.rejects[0].reason
    assert "label 'request' has the most values, 5 among 5" in batch.rejects[0].reason


def test_a_record_above_the_size_limit_is_refused_unread_and_a_large_one_below_it_is_not() -> None:
    sample = native()
    large = b"[" + b",".join([sample] * (10_000_000 // len(sample))) + b"]"
    assert len(decode(large).columns.row) == 10_000_000 // len(sample)
    (reject,) = decode(large, Limits(max_record_bytes=1_000_000)).rejects
    assert f"at most 1000000 bytes, got {len(large)}" in reject.reason
