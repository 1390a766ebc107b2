"""Remote write: the fast path means what the protobuf library reads, on any bytes; conversions; limits."""

import math
import re
from typing import Any

import cramjam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.config import ConfigError
from streams.config.receive import RelabelConfig, TenantConfig
from streams.ingest import Decoder, Limits, SeriesIndex
from streams.receive import remote_write
from streams.receive.draft import Draft
from streams.receive.errors import TooLarge, Unreadable
from streams.receive.relabel import Relabelling
from streams.receive.split import split
from streams.receive.tenant import Refusal, Tenant
from streams.wire import remote_write_v1_pb2 as v1
from tests.ingest.records import records
from tests.receive.pushes import Sample, compressed, v1_request, v2_request
from tests.receive.taking import draft, tenant, values, written

T0 = 1_700_000_000_000


def push(to: Tenant, *samples: Sample) -> Draft:
    """A push that reaches Kafka."""
    made = draft()
    remote_write.read(v1_request(samples).SerializeToString(), remote_write.V1, to, made)
    made.commit()
    return made


label_sets = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4)
samples = st.tuples(label_sets, st.floats(), st.integers(min_value=-(2**63), max_value=2**63 - 1))


@settings(deadline=None)  # a shared machine stalls
@given(st.lists(samples, max_size=6))
def test_the_fast_path_finds_what_the_library_reads(given_: list[Sample]) -> None:
    request = v1_request(given_)
    data = request.SerializeToString()
    found = split(data)
    assert found is not None
    read = [
        (v1.TimeSeries.FromString(data[start:end]).labels, found.times[i], found.values[i])
        for i, (start, end) in enumerate(zip(found.starts, found.ends, strict=True))
    ]
    assert [(list(labels), ts) for labels, ts, _ in read] == [
        (list(series.labels), series.samples[0].timestamp) for series in request.timeseries
    ]
    for (_, _, value), series in zip(read, request.timeseries, strict=True):
        assert value == series.samples[0].value or (math.isnan(value) and math.isnan(series.samples[0].value))


@settings(deadline=None)  # a shared machine stalls
@given(
    st.binary(max_size=64) | st.lists(samples, max_size=2).map(lambda s: v1_request(s).SerializeToString()),
    st.data(),
)
def test_no_bytes_break_the_fast_path(data: bytes, more: st.DataObject) -> None:
    cut = data[: more.draw(st.integers(0, len(data)))] + more.draw(st.binary(max_size=4))
    found = split(cut)
    if found is not None:  # then the library reads the same number of series and samples
        try:
            request = v1.WriteRequest.FromString(cut)
        except Exception:  # e.g. labels that are not UTF-8, which are read one series at a time
            return
        assert len(found.starts) == len(request.timeseries)
        assert len(found.times) == sum(len(series.samples) for series in request.timeseries)


def test_what_is_more_than_samples_is_left_to_the_library() -> None:
    request = v1_request([({"__name__": "up"}, 1.0, T0)])
    request.metadata.add(metric_family_name="up", type=v1.MetricMetadata.GAUGE)
    assert split(request.SerializeToString()) is None
    to = tenant()
    made = draft()
    remote_write.read(request.SerializeToString(), remote_write.V1, to, made)
    assert written(made) == [{"metric": "up", "labels": {}, "ts": T0, "value": 1.0}]


def test_both_versions_mean_the_same() -> None:
    pushed: list[Sample] = [
        ({"__name__": "http_requests_total", "job": "shop"}, 10.0 * i * i, T0 + 15_000 * i) for i in range(4)
    ] + [({"__name__": "memory_bytes", "job": "shop", "pod": "a"}, 5.0, T0)]
    one, two = draft(), draft()
    remote_write.read(v1_request(pushed).SerializeToString(), remote_write.V1, tenant(), one)
    remote_write.read(v2_request(pushed).SerializeToString(), remote_write.V2, tenant(), two)
    assert written(one) == written(two)
    assert one.samples == two.samples == 5


def test_a_counter_becomes_a_rate_and_a_reset_is_understood() -> None:
    to = tenant()
    labels = {"__name__": "http_requests_total", "job": "shop"}
    drafts = [
        push(to, (labels, value, T0 + 10_000 * i)) for i, value in enumerate([100.0, 150.0, 170.0, 30.0])
    ]
    assert written(*drafts) == [
        {
            "metric": "http_requests_per_second",
            "labels": {"job": "shop"},
            "ts": T0 + 10_000 * i,
            "value": rate,
        }
        for i, rate in ((1, 5.0), (2, 2.0), (3, 3.0))
    ]


def test_a_push_that_did_not_reach_kafka_leads_to_the_same_samples_again() -> None:
    to = tenant()
    labels = {"__name__": "http_requests_total"}
    push(to, (labels, 0.0, T0))
    data = v1_request([(labels, 10.0, T0 + 10_000), (labels, 30.0, T0 + 20_000)]).SerializeToString()
    lost, again = draft(), draft()
    remote_write.read(data, remote_write.V1, to, lost)
    remote_write.read(data, remote_write.V1, to, again)
    again.commit()
    assert written(lost) == written(again)
    assert [sample["value"] for sample in written(again)] == [1.0, 2.0]
    late = push(to, (labels, 10.0, T0 + 10_000))
    assert written(late) == []
    assert late.dropped == {"late": 1}


def histogram(ts: int, counts: dict[str, float]) -> list[Sample]:
    return [
        ({"__name__": "latency_seconds_bucket", "le": le, "job": "shop"}, count, ts)
        for le, count in counts.items()
    ]


def test_buckets_become_quantiles_wherever_they_come_from() -> None:
    to = tenant(quantiles=(0.5, 0.9))
    push(to, *histogram(T0, {"0.1": 0, "0.5": 0, "1": 0, "+Inf": 0}))
    first, *rest = histogram(T0 + 15_000, {"0.1": 50, "0.5": 90, "1": 100, "+Inf": 100})
    begun = push(to, *rest)
    assert values(begun) == {}  # one bucket is still on its way, in another request
    done = push(to, first)
    assert values(done) == {"latency_seconds 0.5": [0.1], "latency_seconds 0.9": [0.5]}
    quiet = push(to, *histogram(T0 + 30_000, {"0.1": 50, "0.5": 90, "1": 100, "+Inf": 100}))
    assert values(quiet) == {}  # nothing was observed: no latency
    reset = push(to, *histogram(T0 + 45_000, {"0.1": 0, "0.5": 0, "1": 10, "+Inf": 10}))
    assert values(reset) == {"latency_seconds 0.5": [0.75], "latency_seconds 0.9": [0.95]}


def test_the_count_of_a_histogram_is_a_counter_once_that_is_known() -> None:
    to = tenant()
    count = {"__name__": "latency_seconds_count", "job": "shop"}
    assert values(push(to, (count, 5.0, T0))) == {"latency_seconds_count": [5.0]}
    push(to, *histogram(T0, {"+Inf": 5}))
    push(to, (count, 5.0, T0 + 10_000))
    assert values(push(to, (count, 25.0, T0 + 20_000))) == {"latency_seconds_count_per_second": [2.0]}


def native(counts: list[int], **fields: Any) -> v1.Histogram:
    deltas = [after - before for before, after in zip([0, *counts], counts, strict=False)]
    return v1.Histogram(
        schema=0, count_int=sum(counts), positive_spans=[v1.BucketSpan(offset=1, length=len(counts))],
        positive_deltas=deltas, **fields,
    )  # fmt: skip


def test_native_histograms_become_quantiles_and_rates() -> None:
    to = tenant(quantiles=(0.5,))
    request = v1_request([])
    series = request.timeseries.add()
    series.labels.add(name="__name__", value="latency")
    # Schema 0, bucket 1 is (1, 2], bucket 2 is (2, 4].
    series.histograms.append(native([5, 5], timestamp=T0, sum=10.0))
    series.histograms.append(native([5, 15], timestamp=T0 + 10_000, sum=40.0))
    made = draft()
    remote_write.read(request.SerializeToString(), remote_write.V1, to, made)
    assert values(made) == {
        "latency 0.5": [3.0],
        "latency_count_per_second": [1.0],
        "latency_sum_per_second": [3.0],
    }
    broken = v1_request([])
    broken.timeseries.add().histograms.append(native([1], timestamp=T0))
    broken.timeseries[0].labels.add(name="__name__", value="x")
    broken.timeseries[0].histograms[0].positive_spans[0].length = 2**31
    with pytest.raises(Unreadable, match="spans"):
        remote_write.read(broken.SerializeToString(), remote_write.V1, to, draft())


def test_missing_and_infinite_values_are_counted_not_written() -> None:
    made = push(tenant(), ({"__name__": "a"}, math.nan, T0), ({"__name__": "a"}, math.inf, T0 + 1))
    assert written(made) == []
    assert made.dropped == {"missing": 1, "infinite": 1}


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"not snappy", Unreadable),
        (compressed(b"\xff\xff\xff"), Unreadable),
        (compressed(b"x" * 2000), TooLarge),
    ],
)
def test_what_is_no_request_is_refused(body: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        remote_write.read(remote_write.decompressed(body, 1000), remote_write.V1, tenant(), draft())


def test_a_bomb_is_not_unpacked() -> None:
    bomb = bytes(cramjam.snappy.compress_raw(b"\0" * 100_000_000))
    with pytest.raises(TooLarge, match="100000000"):
        remote_write.decompressed(bomb, 1_000_000)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-protobuf;proto=other.Message"])
def test_an_unknown_content_type_says_what_is_expected(content_type: str) -> None:
    with pytest.raises(Unreadable, match="expected"):
        remote_write.message_of(content_type)


# -- limits ---------------------------------------------------------------------------------------


def test_the_label_that_explodes_is_named_and_known_series_go_on() -> None:
    to = tenant(max_series=50)
    many = [({"__name__": "requests", "zone": "ab"[i % 2], "user": f"u{i}"}, 1.0, T0) for i in range(60)]
    made = push(to, *many)
    assert len(to) == 50
    assert made.refused == 10
    assert len(written(made)) == 50
    assert "label 'user' has the most values" in made.faults[0]
    assert "'requests'" in made.faults[0]
    assert len(written(push(to, (*many[0][:2], T0 + 1)))) == 1


def test_silent_series_make_room() -> None:
    to = tenant(max_series=1)
    push(to, ({"__name__": "a"}, 1.0, T0))
    assert push(to, ({"__name__": "b"}, 1.0, T0)).refused == 1
    assert to.forget() == 0
    assert to.forget() == 1
    assert push(to, ({"__name__": "b"}, 1.0, T0)).refused == 0


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"__name__": "a", "b": "x" * 11}, "at most 10 characters"),
        ({"__name__": "a", "long_name": "x"}, "1 to 4 characters"),
        ({"__name__": "a", "b": "1", "c": "2", "d": "3"}, "at most 2 labels"),
        ({"b": "1"}, "metric name"),
    ],
)
def test_limits_on_labels_name_the_series(labels: dict[str, str], words: str) -> None:
    to = tenant(max_labels=2, max_label_name=4, max_label_value=10)
    with pytest.raises(Refusal, match=re.escape(words)):
        to.add("x", labels)


def test_a_tenants_labels_win_over_those_of_its_producers() -> None:
    to = tenant(TenantConfig(name="a", token="${A}", labels={"tenant": "a"}))  # noqa: S106
    made = push(to, ({"__name__": "up", "tenant": "b"}, 1.0, T0))
    assert written(made)[0]["labels"] == {"tenant": "a"}


# -- relabelling ----------------------------------------------------------------------------------

LABELS = {"__name__": "up", "job": "shop", "pod": "web-1", "tmp_zone": "a"}
UNZONED = {"__name__": "up", "job": "shop", "pod": "web-1"}


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"action": "drop", "source_labels": ("job",), "regex": "sho.*"}, None),
        ({"action": "drop", "source_labels": ("job",), "regex": "sho"}, LABELS),
        ({"action": "keep", "source_labels": ("job", "pod"), "regex": "shop;web-.*"}, LABELS),
        ({"action": "keep", "source_labels": ("absent",), "regex": "x"}, None),
        ({"action": "labeldrop", "regex": "tmp_.*|pod"}, {"__name__": "up", "job": "shop"}),
        ({"action": "labelkeep", "regex": "__name__|job"}, {"__name__": "up", "job": "shop"}),
        ({"action": "labelmap", "regex": "tmp_(.+)"}, LABELS | {"zone": "a"}),
        (
            {
                "source_labels": ("pod",), "regex": r"(?P<app>\w+)-(\d)",
                "target_label": "a", "replacement": "${app}/$2",
            },
            LABELS | {"a": "web/1"},
        ),
        ({"source_labels": ("pod",), "regex": "x", "target_label": "app"}, LABELS),
        ({"source_labels": ("pod",), "target_label": "a", "replacement": ""}, LABELS),
        ({"source_labels": ("pod",), "target_label": "tmp_zone", "replacement": ""}, UNZONED),
        ({"action": "uppercase", "source_labels": ("job",), "target_label": "job"}, LABELS | {"job": "SHOP"}),
        ({"action": "keepequal", "source_labels": ("job",), "target_label": "pod"}, None),
        ({"action": "dropequal", "source_labels": ("job",), "target_label": "job"}, None),
    ],
)  # fmt: skip
def test_relabelling(rule: dict[str, Any], expected: dict[str, str] | None) -> None:
    assert Relabelling([RelabelConfig(**rule)])(dict(LABELS)) == expected


def test_hashmod_shards_evenly() -> None:
    steps = Relabelling([RelabelConfig(action="hashmod", source_labels=("i",), target_label="s", modulus=4)])
    shards = [(steps({"i": str(i)}) or {})["s"] for i in range(400)]
    assert {shards.count(shard) > 60 for shard in "0123"} == {True}


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"regex": "(", "target_label": "a"}, r"receive.relabel\[0\].regex"),
        ({"target_label": "a", "replacement": "$3"}, r"receive.relabel\[0\].replacement"),
        ({"action": "hashmod"}, "needs target_label"),
    ],
)
def test_a_step_that_cannot_work_is_named(rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Relabelling([RelabelConfig(**rule)])


def test_relabelling_drops_and_counts() -> None:
    rules = (RelabelConfig(action="drop", source_labels=("__name__",), regex="go_.*"),)
    to = tenant(relabel=rules)
    made = push(to, ({"__name__": "go_gc"}, 1.0, T0), ({"__name__": "up"}, 1.0, T0))
    assert [sample["metric"] for sample in written(made)] == ["up"]
    assert made.dropped == {"relabelled": 1}


# -- what workers read ----------------------------------------------------------------------------

names = st.text(min_size=1, max_size=8).filter(
    lambda name: not re.search(r'[\x00-\x1f\x7f-\x9f{}="\\,]', name)
)


@settings(deadline=None)  # a shared machine stalls
@given(
    names,
    st.dictionaries(names, st.text(min_size=1, max_size=12), max_size=4),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(0, 2 * T0),
)
def test_workers_read_what_was_pushed(metric: str, labels: dict[str, str], value: float, ts: int) -> None:
    made = draft()
    series = tenant().add("x", {**labels, "__name__": metric}, "gauge")
    series.take(made, ts, value)
    ((_, record_value),) = made.records()
    index = SeriesIndex()
    batch = Decoder(index, Limits(max_future_ms=10**15)).decode(records([record_value]), T0)
    assert batch.rejects == []
    columns = batch.columns
    assert [(index.metric(columns.row[0]), index.labels(columns.row[0]))] == [(metric, labels)]
    assert (columns.time.tolist(), columns.value.tolist()) == ([ts], [value])
