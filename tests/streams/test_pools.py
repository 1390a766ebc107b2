"""Series that have something in common: young ones judged by their like, groups watched together."""

from itertools import pairwise

import numpy as np
import pytest

from detectors.port import StateError
from detectors.registry import make_bank, with_groups
from schemas import Alert, Anomaly, decode
from streams.config import AlertConfig
from streams.detection import BY_SIMILAR, DetectPartition
from streams.ingest import Limits
from streams.output import Output
from streams.partition import COLD
from streams.pools import Commons
from streams.targets import Roles
from tests.streams.records import MINUTE, START, FakeRecord, sample

WARM_MINUTES = 120
NOW = START + 10_000 * MINUTE


def partition(by: tuple[str, ...] | None = ("service",), block_rows: int = 4) -> DetectPartition:
    return DetectPartition(
        0,
        bank=make_bank(),
        alerts=AlertConfig(),
        roles=Roles([]),
        limits=Limits(),
        block_rows=block_rows,
        commons=Commons(by),
    )


def stream(
    newcomer: float = 50.0, metric: str = "rps", service: str = "cart", pods: int = 6
) -> list[FakeRecord]:
    """Pods of a service around 50 for two hours; then another begins, at another level maybe."""
    rng = np.random.default_rng(5)
    records: list[FakeRecord] = []

    def say(minute: int, value: float, metric: str, service: str, pod: str) -> None:
        now = START + minute * MINUTE
        records.append(sample(len(records), now, round(value, 6), metric, service=service, pod=pod))

    for minute in range(WARM_MINUTES + 20):
        for pod in range(6):
            say(minute, 50.0 + rng.normal(), "rps", "cart", f"p{pod}")
        if minute >= WARM_MINUTES:
            say(minute, newcomer + rng.normal(), metric, service, "new")
    return records


def found(outputs: list[Output], pod: str = "new") -> list[Anomaly]:
    anomalies = [decode(out.value, Anomaly) for out in outputs if out.topic == "anomalies"]
    return [anomaly for anomaly in anomalies if anomaly.labels["pod"] == pod]


def assert_same_models(one: DetectPartition, other: DetectPartition) -> None:
    for series in [*other.rows.series(), '=rps{service="cart"}']:
        assert one.rows.model(series) == other.rows.model(series), series


def test_a_newcomer_far_from_its_like_is_an_anomaly_from_its_first_sample() -> None:
    anomalies = found(partition().process(stream(newcomer=90.0), NOW))
    first = anomalies[0]
    assert first.ts == START + WARM_MINUTES * MINUTE
    assert first.detector.endswith(BY_SIMILAR)
    assert first.upper is not None
    assert first.expected is not None
    assert 45.0 < first.expected < 55.0 < first.upper < 90.0
    assert first.evidence[0].strength >= 1.0


def test_a_newcomer_like_the_others_is_none() -> None:
    assert not found(partition().process(stream(newcomer=50.0), NOW))


@pytest.mark.parametrize(("metric", "service"), [("rps", "shop"), ("errors", "cart")])
def test_another_metric_or_another_group_is_not_similar(metric: str, service: str) -> None:
    assert not found(partition().process(stream(90.0, metric, service), NOW))


def test_without_the_setting_a_newcomer_is_only_learnt() -> None:
    assert not found(partition(None).process(stream(90.0), NOW))


def test_of_one_metric_is_enough_where_no_labels_are_asked() -> None:
    assert found(partition(()).process(stream(90.0, service="shop"), NOW))


def test_batches_do_not_matter() -> None:
    records, whole, parts = stream(90.0), partition(), partition()
    expected = whole.process(records, NOW)
    cuts = [0, 1, 333, 334, 725, 730, 760, len(records)]
    outputs = [out for a, b in pairwise(cuts) for out in parts.process(records[a:b], NOW)]
    assert sorted(map(str, outputs)) == sorted(map(str, expected))
    assert_same_models(parts, whole)


def test_series_and_pools_are_as_undisturbed_after_a_crash_between_two_blocks() -> None:
    records, whole = stream(90.0), partition()
    whole.process(records, NOW)
    before = partition()
    stored: dict[bytes, bytes] = {}
    for start in range(0, 770, 70):  # one block at a time is written, each at another offset
        before.process(records[start : start + 70], NOW)
        stored.update({key: data for key, data in before.snapshot(1) if data is not None})
    durable = before.durable
    assert durable is not None
    after = partition()
    after.restore({key: data for key, data in stored.items() if not key.startswith(COLD)}, stored.get)
    after.process(records[durable + 1 :], NOW)
    assert_same_models(after, whole)


def test_a_pool_is_no_series() -> None:
    one = partition()
    one.process(stream(), NOW)
    assert len(one.rows.series()) == 7
    assert not any(series.startswith("=") for series in one.rows.series())


# -- groups watched together -----------------------------------------------------------------------

KEY = b"the key of this worker, long enough"
MODEL = "river.anomaly.HalfSpaceTrees"
PARAMS = {"n_trees": 15, "height": 5, "window_size": 150}
ODD_MINUTE = 500


def watched(block_rows: int = 2) -> DetectPartition:
    bank = make_bank("ewma-z")
    return DetectPartition(
        0,
        bank=with_groups(bank, MODEL, PARAMS, alarms_per_series_day=1.0, key=KEY),
        alerts=AlertConfig(),
        roles=Roles([]),
        limits=Limits(),
        block_rows=block_rows,
        commons=Commons(None, ("host",)),
    )


def twin_stream() -> list[FakeRecord]:
    """Two metrics of a host that go up and down together, but for one minute."""
    rng = np.random.default_rng(1)
    records: list[FakeRecord] = []
    for minute in range(600):
        high = 100.0 * float(rng.integers(0, 2))
        values = (100.0, 0.0) if minute == ODD_MINUTE else (high, high)
        for metric, value in zip(("cpu", "rps"), values, strict=True):
            now = START + minute * MINUTE
            noisy = round(value + float(rng.normal(0.0, 3.0)), 6)
            records.append(sample(len(records), now, noisy, metric, host="a"))
    return records


def test_a_combination_never_seen_is_an_anomaly_of_the_group() -> None:
    outputs = watched().process(twin_stream(), NOW)
    anomalies = [decode(out.value, Anomaly) for out in outputs if out.topic == "anomalies"]
    (odd,) = [anomaly for anomaly in anomalies if anomaly.ts == START + ODD_MINUTE * MINUTE]
    assert odd.series == '=group{host="a"}'
    assert odd.labels == {"host": "a"}
    assert odd.detector.startswith(MODEL)
    alerts = [decode(out.value, Alert) for out in outputs if out.topic == "changes"]
    assert ("firing", odd.series, odd.ts) in [(a.state, a.series, a.changed_at) for a in alerts]


def ids_of(outputs: list[Output]) -> set[str]:
    return {decode(out.value, Anomaly).id for out in outputs if out.topic == "anomalies"}


def test_groups_are_as_undisturbed_after_a_crash_between_two_blocks() -> None:
    records, whole = twin_stream(), watched()
    undisturbed = whole.process(records, NOW)
    before = watched(1)
    stored: dict[bytes, bytes] = {}
    outputs = []
    for start in range(0, 900, 60):
        outputs += before.process(records[start : start + 60], NOW)
        stored.update({key: data for key, data in before.snapshot(1) if data is not None})
    durable = before.durable
    assert durable is not None
    after = watched(1)
    after.restore({key: data for key, data in stored.items() if not key.startswith(COLD)}, stored.get)
    outputs += after.process(records[durable + 1 :], NOW)
    assert ids_of(outputs) == ids_of(undisturbed)


def test_the_key_that_groups_need_is_asked_for() -> None:
    with pytest.raises(StateError, match="secret key"):
        with_groups(make_bank(), MODEL)
