"""Each accepted format gives the samples it says, and a faulty record the path of its fault."""

import itertools

import pytest
from google.protobuf.json_format import MessageToJson

from streams.ingest import Batch, Decoder, Limits, SeriesIndex
from tests.ingest.records import NOW, record, records
from tests.receive.pushes import otlp_gauge, otlp_histogram, otlp_request, otlp_sum


def decode(*values: bytes | None) -> tuple[list[tuple[int, str, int, float]], Batch]:
    """Samples as (record, series key, time, value), and the batch."""
    index = SeriesIndex()
    batch = Decoder(index, Limits()).decode(records(values), NOW)
    columns = (column.tolist() for column in batch.columns)
    return [(i, index.key(row), time, value) for i, row, time, value in zip(*columns, strict=True)], batch


def test_native_single_and_list_keep_the_input_order() -> None:
    samples, batch = decode(
        b'{"metric":"up","labels":{"b":"2","a":"1"},"ts":1700000000000,"value":1}',
        b'[{"metric":"up","ts":"2020-01-01T00:00:00+01:00","value":-2.5e3},{"metric":"down","value":3}]',
        b"[]",
        b'{"schema":"sample/1","value":4,"labels":{"a":"1","b":"2"},"metric":"up","ts":7}',
    )
    assert samples == [
        (0, 'up{a="1",b="2"}', 1_700_000_000_000, 1.0),
        (1, "up", 1_577_833_200_000, -2500.0),
        (1, "down", NOW, 3.0),
        (3, 'up{a="1",b="2"}', 7, 4.0),
    ]
    assert batch.rejects == []
    assert batch.stamped == 1


def test_prometheus_adapter() -> None:
    samples, batch = decode(
        b'{"timestamp":"2020-01-01T00:00:00Z","value":"9876.5","name":"up","labels":{"__name__":"up","job":"x"}}',
        b'{"timestamp":"2020-01-01T00:00:00.5Z","value":"1e-3","name":"up","labels":{}}',
        b'{"labels":{"__name__":"up"},"value":"NaN"}',
        b'{"labels":{"__name__":"up"},"value":"+Inf"}',
        b'{"labels":{"__name__":"up"},"value":"-Inf"}',
    )
    assert samples == [(0, 'up{job="x"}', 1_577_836_800_000, 9876.5), (1, "up", 1_577_836_800_500, 0.001)]
    assert batch.rejects == []
    assert batch.dropped == {"missing": 1, "infinite": 2}


def test_telegraf_in_its_three_forms() -> None:
    one = (
        b'{"fields":{"idle":99.5,"n":3,"s":"x","b":true},'
        b'"name":"cpu","tags":{"host":"a"},"timestamp":1458229140}'
    )
    two = b'{"fields":{"used":1},"name":"disk"}'
    samples, batch = decode(one, b"[" + one + b"]", b'{"metrics":[' + one + b"," + two + b"]}")
    expected = [('cpu_idle{host="a"}', 1_458_229_140_000, 99.5), ('cpu_n{host="a"}', 1_458_229_140_000, 3.0)]
    assert samples == [(i, *sample) for i in range(3) for sample in expected] + [(2, "disk_used", NOW, 1.0)]
    assert batch.rejects == []
    assert batch.dropped == {"not-numeric": 6}


@pytest.mark.parametrize(
    ("value", "path", "reason"),
    [
        (b'{"metric":"m","value":true}', "$.value", "Expected `float | null`, got `bool`"),
        (b'{"metric":"m","value":"1"}', "$.value", "Expected `float | null`, got `str`"),
        (b'{"metric":"m","value":1e999}', "$.value", "Number out of range"),
        (b'{"metric":"m","value":NaN}', "$", "malformed"),
        (b'{"metric":"m","value":1,"unit":"s"}', "$", "unknown field `unit`"),
        (b'{"metric":"m","value":1,"ts":1.5}', "$.ts", "Expected `int | str | null`"),
        (b'{"metric":"m","value":1,"ts":"yesterday"}', "$.ts", "RFC 3339"),
        (b'{"metric":"m","value":1,"ts":"2020-01-01T00:00:00"}', "$.ts", "RFC 3339"),
        (b'{"metric":"m","value":1,"labels":{"a":1}}', "$.labels[...]", "Expected `str`, got `int`"),
        (b'{"metric":"m\xff","value":1}', "$", "UTF-8"),
        (b'{"metric":"m","value":1', "$", "truncated"),
        (b'{"metric":"m","value":1}{', "$", "trailing"),
        (b'{"a":' * 100_000, "$", "unknown field"),
        (b"[" * 10_000_000, "$[0]", "Expected `object`"),
        (b"7", "$", "Expected `object | array`"),
        (b'{"name":"up","value":"1_0","labels":{}}', "$.value", "Expected a number"),
        (b'{"name":"up","value":"1","labels":{"__name__":"down"}}', "$.name", "'down'"),
        (b'{"value":"1","labels":{},"name":null}', "$.name", "neither"),
        (b'{"name":"up","value":"1","labels":{},"timestamp":"now"}', "$.timestamp", "RFC 3339"),
        (b'{"name":"cpu","fields":{"a":1},"timestamp":"now"}', "$.timestamp", "Expected `int | null`"),
        (b'{"metrics":[{"name":"cpu","fields":7}]}', "$.metrics[0].fields", "Expected `object`"),
        (b'{"metrics":7}', "$.metrics", "Expected `array`"),
    ],
)
def test_a_faulty_record_is_refused_with_its_path(value: bytes, path: str, reason: str) -> None:
    samples, batch = decode(value)
    assert samples == []
    (reject,) = batch.rejects
    assert (reject.record, reject.path) == (0, path)
    assert reason in reject.reason


@pytest.mark.parametrize("value", [None, b""])
def test_tombstones_are_refused(value: bytes | None) -> None:
    samples, batch = decode(value)
    assert samples == []
    assert "no value" in batch.rejects[0].reason
    assert batch.rejects[0].path is None


def test_bad_samples_of_a_list_do_not_spoil_the_good_ones() -> None:
    good = b'{"metric":"m","value":1}'
    bad = b'{"metric":"m","value":{}}'
    samples, batch = decode(b"[" + b",".join([good, bad, good, bad, bad, bad, good]) + b"]", good)
    assert [record for record, *_ in samples] == [0, 0, 0, 1]
    (reject,) = batch.rejects
    assert (reject.record, reject.path) == (0, "$[1].value")
    assert "$[3].value: Expected `float | null`, got `object`" in reject.reason
    assert reject.reason.endswith("; and 1 more")


def test_the_header_only_chooses_the_error() -> None:
    decoder = Decoder(SeriesIndex(), Limits())
    native = b'{"metric":"m","value":1}'
    batch = decoder.decode(
        [
            record(native, headers=[("tidegate-format", b"telegraf")]),
            record(b"{}", headers=[("trace", b"1"), ("tidegate-format", b"telegraf")]),
            record(b"{}", headers=[("tidegate-format", b"xml")]),
        ],
        NOW,
    )
    assert batch.columns.record.tolist() == [0]
    assert [reject.reason for reject in batch.rejects] == [
        "$: Object missing required field `fields`",
        "header tidegate-format: Expected one of native, prometheus, telegraf, otlp, got 'xml'",
    ]


def test_what_came_before_does_not_change_how_a_record_is_read() -> None:
    native = b'{"metric":"n","value":1}'
    prometheus = b'{"name":"p","value":"2","labels":{}}'
    telegraf = b'{"name":"t","fields":{"f":3}}'
    mixed = [
        b"[" + b",".join(pair) + b"]" for pair in itertools.permutations((native, prometheus, telegraf), 2)
    ]
    for before in (native, prometheus, telegraf, b"{}"):
        for value in (*mixed, native, prometheus, telegraf, b"[]", b"{}"):
            alone, after = decode(value), decode(before, value)
            assert [sample[1:] for sample in after[0] if sample[0] == 1] == [
                sample[1:] for sample in alone[0]
            ]
            refused = [reject.reason for reject in after[1].rejects if reject.record == 1]
            assert refused == [reject.reason for reject in alone[1].rejects]


def test_otlp_by_itself_in_both_encodings() -> None:
    start, ts = 1_700_000_000_000, 1_700_000_010_000
    request = otlp_request(
        otlp_gauge("queue.size", ts, 7),
        otlp_sum("requests", [(start, ts, 100.0)]),
        otlp_sum("bytes", [(start, ts, 500.0)], delta=True),
        otlp_sum("level", [(start, ts, 5.0)], delta=True, monotonic=False),
        otlp_histogram("latency", [1.0, 2.0], [(start, ts, [0, 10, 0], 15.0)], delta=True),
        otlp_histogram("total", [1.0], [(start, ts, [1, 2], 9.0)]),
    )
    values = (request.SerializeToString(), MessageToJson(request).encode())
    index = SeriesIndex()
    batch = Decoder(index, Limits()).decode(records(values), ts)
    columns = (column.tolist() for column in batch.columns)
    samples = [(i, index.key(row), time, value) for i, row, time, value in zip(*columns, strict=True)]
    own = 'service.name="checkout"'
    expected = [
        (f"queue.size{{{own}}}", 7.0),
        (f"requests{{{own}}}", 100.0),
        (f"bytes_per_second{{{own}}}", 50.0),
        (f'latency{{quantile="0.5",{own}}}', 1.5),
        (f'latency{{quantile="0.95",{own}}}', 1.95),
        (f'latency{{quantile="0.99",{own}}}', 1.99),
        (f"latency_count_per_second{{{own}}}", 1.0),
        (f"latency_sum_per_second{{{own}}}", 1.5),
        (f"total_count{{{own}}}", 3.0),
        (f"total_sum{{{own}}}", 9.0),
    ]
    assert samples == [(i, key, ts, pytest.approx(value)) for i in (0, 1) for key, value in expected]
    assert batch.rejects == []
    assert batch.dropped == {"not-numeric": 2}


def test_what_only_resembles_otlp_is_refused_with_its_place() -> None:
    _, batch = decode(b'{"resourceMetrics":[{"scopeMetrics":7}]}', b"\n\xff\xff", b"\n")
    assert [reject.record for reject in batch.rejects] == [0, 1, 2]
    assert batch.rejects[0].path == "$.resourceMetrics"
