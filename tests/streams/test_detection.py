"""One partition of `metrics`: what its samples lead to, and that its state survives anything."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.registry import make_bank
from planners.releases import JudgeConfig, MetricSpec
from schemas import Alert, Anomaly, DeadLetter, Signal, decode
from streams.config import AlertConfig, TargetConfig
from streams.detection import Block, DetectPartition, StateError
from streams.ingest import Limits
from streams.output import Output
from streams.scaling import ScaleConfig
from streams.targets import Roles
from tests.streams.records import MINUTE, START, FakeRecord, sample

NOW = START + 10_000 * MINUTE
TARGET = TargetConfig(
    name="checkout",
    labels={"service": "checkout"},
    load="rps",
    scale=ScaleConfig(),
    release=JudgeConfig(metrics=(MetricSpec(name="errors", kind="gauge"),)),
)


def _partition(block_rows: int = 4, model: str = "ewma-z") -> DetectPartition:
    return DetectPartition(
        0,
        bank=make_bank(model, {}, alarms_per_series_day=1 / 7),
        alerts=AlertConfig(),
        roles=Roles([TARGET]),
        limits=Limits(),
        block_rows=block_rows,
    )


def _stream(seed: int = 1, steps: int = 400, series: int = 9) -> list[FakeRecord]:
    """Noise around a level per series, one of them with a burst near the end."""
    rng = np.random.default_rng(seed)
    records = []
    for step in range(steps):
        for number in range(series):
            value = 10.0 * (number + 1) + rng.normal()
            if number == 3 and step == steps - 20:
                value += 80.0
            records.append(sample(len(records), START + step * MINUTE, round(value, 6), pod=str(number)))
    return records


def _of(outputs: list[Output], topic: str) -> list[bytes]:
    return [value for name, _, value in outputs if name == topic]


def test_a_burst_becomes_an_anomaly_with_what_an_operator_asks_and_an_alert() -> None:
    outputs = _partition().process(_stream(), NOW)
    found = [decode(value, Anomaly) for value in _of(outputs, "anomalies")]
    (burst,) = [anomaly for anomaly in found if anomaly.ts == START + 380 * MINUTE]
    assert burst.series == 'm{pod="3"}'
    assert burst.expected is not None
    assert burst.upper is not None
    assert burst.lower is not None
    assert burst.lower < burst.expected < burst.upper < burst.value
    assert burst.evidence[0].strength >= 1.0
    alerts = [decode(value, Alert) for value in _of(outputs, "alerts")]
    assert ("firing", burst.ts) in [(a.state, a.changed_at) for a in alerts if a.series == burst.series]


def test_batches_do_not_matter() -> None:
    stream, whole, parts = _stream(), _partition(), _partition()
    once = whole.process(stream, NOW)
    pieces = [out for i in range(0, len(stream), 37) for out in parts.process(stream[i : i + 37], NOW)]
    for topic in ("anomalies", "alerts"):
        assert sorted(_of(pieces, topic)) == sorted(_of(once, topic))
    assert parts.snapshot() == whole.snapshot()


# A batch of so many records; then nothing, a checkpoint, a crash, or a crash after so many blocks.
_steps = st.lists(
    st.tuples(
        st.integers(1, 250), st.one_of(st.just("go on"), st.just("save"), st.just("crash"), st.integers(0, 2))
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(_steps)
def test_a_crash_at_any_moment_changes_nothing(steps: list[tuple[int, str | int]]) -> None:
    stream = _stream(steps=60)
    undisturbed = _partition()
    expected = {out for out in undisturbed.process(stream, NOW) if out.topic != "signals"}
    partition, stored, acknowledged, position = _partition(), dict[str, bytes](), 0, 0
    seen: set[Output] = set()
    for size, what in [*steps, (len(stream), "go on"), (len(stream), "save")]:
        stop = min(len(stream), position + size)
        seen.update(out for out in partition.process(stream[position:stop], NOW) if out.topic != "signals")
        position = stop
        if what == "go on":
            continue
        if what != "crash":
            blocks = partition.snapshot()
            stored.update(blocks if what == "save" else blocks[: int(what)])
        if what == "save":
            acknowledged = position
        else:
            partition, position = _partition(), acknowledged
            partition.restore(list(stored.values()))
    assert seen == expected
    assert _without_offsets(stored) == _without_offsets(dict(undisturbed.snapshot()))


def _without_offsets(blocks: dict[str, bytes]) -> dict[str, tuple[object, ...]]:
    opened = {key: msgspec.msgpack.decode(data, type=Block) for key, data in blocks.items()}
    return {k: (b.start, b.series, b.last_time, b.bank, b.alerts) for k, b in opened.items()}


def test_records_that_come_again_are_not_learnt_again() -> None:
    stream, partition = _stream(), _partition()
    partition.process(stream, NOW)
    before = partition.counts.samples
    assert partition.process(stream[-50:], NOW) == []
    assert partition.counts.samples == before


def test_what_is_not_data_is_a_dead_letter_and_the_rest_goes_on() -> None:
    records = [FakeRecord(b"{", 0), sample(1, START, 1.0), FakeRecord(None, 2), FakeRecord(b"\x00" * 10, 3)]
    partition = _partition()
    letters = [decode(value, DeadLetter) for value in _of(partition.process(records, NOW), "dead-letters")]
    assert [letter.offset for letter in letters] == [0, 2, 3]
    assert all(letter.reason for letter in letters)
    assert partition.counts.samples == 1


def test_signals_go_to_the_target_with_their_role() -> None:
    records = [
        sample(0, START, 5.0, metric="rps", service="checkout", pod="a"),
        sample(1, START, 0.1, metric="errors", service="checkout", arm="canary"),
        sample(2, START, 9.0, metric="cpu", service="checkout"),
        sample(3, START, 7.0, metric="rps", service="other"),
    ]
    signals = [decode(value, Signal) for value in _of(_partition().process(records, NOW), "signals")]
    assert [(s.target, s.role, s.arm, s.values) for s in signals] == [
        ("checkout", "load", None, [5.0]),
        ("checkout", "errors", "canary", [0.1]),
    ]


@pytest.mark.parametrize("broken", [b"", b"\xc1", b"\x97\x63\x00\x00\x90\xc4\x00\xc4\x00\xc4\x00"])
def test_blocks_that_cannot_be_read_are_refused(broken: bytes) -> None:
    with pytest.raises(StateError):
        _partition().restore([broken])


def test_a_missing_block_is_refused_with_its_rows() -> None:
    partition = _partition()
    partition.process(_stream(steps=3), NOW)
    blocks = [block for _, block in partition.snapshot()]
    with pytest.raises(StateError, match="rows 4 to 8 is missing"):
        _partition().restore([blocks[0], blocks[2]])
