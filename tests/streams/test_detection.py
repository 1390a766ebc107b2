"""One partition of `metrics`: what its samples lead to, and that its state survives anything."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.registry import make_bank
from planners.releases import JudgeConfig, MetricSpec
from schemas import Alert, Anomaly, DeadLetter, Signal, decode
from streams.alerts import ROW as ALERT_ROW
from streams.config import AlertConfig, TargetConfig
from streams.detection import DetectPartition
from streams.ingest import Limits
from streams.output import Output
from streams.partition import COLD
from streams.scaling import ScaleConfig
from streams.series_rows import NEVER_EVICT, Block
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


Stored = dict[bytes, bytes]


def _partition(
    block_rows: int = 4, model: str = "ewma-z", evict_after_ms: int = NEVER_EVICT
) -> DetectPartition:
    return DetectPartition(
        0,
        bank=make_bank(model, {}, alarms_per_series_day=1 / 7),
        alerts=AlertConfig(),
        roles=Roles([TARGET]),
        limits=Limits(),
        block_rows=block_rows,
        evict_after_ms=evict_after_ms,
    )


def _write(stored: Stored, entries: list[tuple[bytes, bytes | None]]) -> None:
    """What the changelog does with a snapshot."""
    for key, block in entries:
        if block is None:
            stored.pop(key, None)
        else:
            stored[key] = block


def _restored(stored: Stored, **options: int | str) -> DetectPartition:
    partition = _partition(**options)  # type: ignore[arg-type]
    hot = {key: block for key, block in stored.items() if not key.startswith(COLD)}
    partition.restore(hot, stored.get)
    return partition


def _series(stored: Stored) -> dict[str, tuple[bytes, bytes, bytes]]:
    """The state of each series, wherever it is: last time, model, alert."""
    found: dict[str, tuple[int, tuple[bytes, bytes, bytes]]] = {}
    for data in stored.values():
        block = msgspec.msgpack.decode(data, type=Block)
        bank = make_bank("ewma-z", {})
        bank.grow(block.start + len(block.series))
        bank.load(block.start, block.start + len(block.series), bytes(block.bank))
        for i, series in enumerate(block.series):
            row = block.start + i
            state = (
                block.last_time[8 * i : 8 * i + 8],
                bank.dump(row, row + 1),
                block.alerts[ALERT_ROW.itemsize * i : ALERT_ROW.itemsize * (i + 1)],
            )
            if series and block.offset >= found.get(series, (-1, state))[0]:
                found[series] = (block.offset, state)
    return {series: state for series, (_, state) in found.items()}


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
    return [value for name, _, value, _ in outputs if name == topic]


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
    alerts = [decode(value, Alert) for value in _of(outputs, "changes")]
    assert ("firing", burst.ts) in [(a.state, a.changed_at) for a in alerts if a.series == burst.series]


def test_batches_do_not_matter() -> None:
    stream, whole, parts = _stream(), _partition(), _partition()
    once = whole.process(stream, NOW)
    pieces = [out for i in range(0, len(stream), 37) for out in parts.process(stream[i : i + 37], NOW)]
    for topic in ("anomalies", "changes"):
        assert sorted(_of(pieces, topic)) == sorted(_of(once, topic))
    assert parts.snapshot() == whole.snapshot()


# A batch of so many records; then nothing, a checkpoint, a crash, a crash after so many blocks, or the
# writing of so many blocks that is done only after the next batch; or all is written and what is in memory
# goes back to the store, and from there to a new state, as in a rebalance.
_steps = st.lists(
    st.tuples(
        st.integers(1, 250),
        st.one_of(
            st.just("go on"),
            st.just("save"),
            st.just("crash"),
            st.just("move"),
            st.integers(0, 6),
            st.tuples(st.just("some"), st.integers(1, 2)),
        ),
    ),
    max_size=20,
)


@settings(max_examples=100, deadline=None)
@given(_steps, st.booleans())
def test_a_crash_at_any_moment_changes_nothing(
    steps: list[tuple[int, str | int | tuple[str, int]]], evict: bool
) -> None:
    stream = _now_and_then(_stream(steps=60))
    whole = _partition()
    expected = {out for out in whole.process(stream, NOW) if out.topic != "signals"}
    undisturbed: Stored = {}
    _write(undisturbed, whole.snapshot())
    after = 10 * MINUTE if evict else NEVER_EVICT
    stored, acknowledged, position = Stored(), 0, 0
    partition = _restored(stored, evict_after_ms=after)
    under_way: tuple[list[tuple[bytes, bytes | None]], int] | None = None
    seen: set[Output] = set()
    for size, what in [*steps, (len(stream), "go on"), (len(stream), "save")]:
        stop = min(len(stream), position + size)
        seen.update(out for out in partition.process(stream[position:stop], NOW) if out.topic != "signals")
        position = stop
        if what == "go on":
            continue
        if what == "crash":
            partition, position, under_way = _restored(stored, evict_after_ms=after), acknowledged, None
            continue
        if under_way is not None:  # one snapshot is written before the next is taken
            _write(stored, under_way[0])
            acknowledged, under_way = under_way[1], None
        if isinstance(what, tuple):
            partition.changed()
            entries = partition.snapshot(what[1])
            under_way = entries, position if partition.durable is None else partition.durable + 1
        elif what in ("save", "move"):
            _write(stored, partition.snapshot())
            acknowledged = position
            if what == "move":
                stored |= {key: partition.block(key) for key in stored if partition.holds(key)}
                partition = _restored(stored, evict_after_ms=after)
        else:
            _write(stored, partition.snapshot()[: int(what)])
            partition, position = _restored(stored, evict_after_ms=after), acknowledged
    assert seen == expected
    assert _series(stored) == _series(undisturbed)


def _now_and_then(stream: list[FakeRecord]) -> list[FakeRecord]:
    """Some series are silent for half an hour now and then, at different times."""
    kept = [r for i, r in enumerate(stream) if i % 9 < 5 or (i // 9 + 7 * (i % 9)) // 25 % 2]
    return [replace(record, offset=offset) for offset, record in enumerate(kept)]


def test_a_silent_series_leaves_memory_and_returns_as_it_was() -> None:
    partition, stored = _partition(evict_after_ms=60 * MINUTE), Stored()
    partition.process([sample(i, START + i * MINUTE, 5.0 + i % 3, pod="a") for i in range(200)], NOW)
    partition.process([sample(200, START + 300 * MINUTE, 1.0, pod="b")], NOW)
    _write(stored, partition.snapshot())
    assert len(partition) == 1
    before = _series(stored)['m{pod="a"}']
    again = _restored(stored, evict_after_ms=60 * MINUTE)
    again.process([sample(201, START + 301 * MINUTE, 6.0, pod="a")], NOW)
    assert (len(again), again.counts.recalled) == (2, 1)
    reference, fresh = _restored(stored), _partition()
    for each in (reference, fresh):
        each.process([sample(201, START + 301 * MINUTE, 6.0, pod="a")], NOW)
    written, anew = Stored(), Stored()
    _write(written, again.snapshot())
    _write(anew, fresh.snapshot())
    assert _series(written)['m{pod="a"}'] != before
    assert _series(written)['m{pod="a"}'] != _series(anew)['m{pod="a"}']
    assert COLD + b'm{pod="a"}' not in written


def test_an_open_alert_keeps_its_series_in_memory() -> None:
    partition = _partition(evict_after_ms=60 * MINUTE)
    calm = [sample(i, START + i * MINUTE, 5.0 + i % 3, pod="a") for i in range(300)]
    outputs = partition.process([*calm, sample(300, START + 300 * MINUTE, 900.0, pod="a")], NOW)
    assert _of(outputs, "changes")
    partition.process([sample(301, START + 900 * MINUTE, 1.0, pod="b")], NOW)
    partition.snapshot()
    assert len(partition) == 2


@pytest.mark.parametrize(("before", "after"), [(4, 3), (4, 100), (3, 8)])
def test_another_block_size_is_written_anew(before: int, after: int) -> None:
    stream, stored = _stream(steps=40), Stored()
    partition = _partition(block_rows=before)
    partition.process(stream, NOW)
    _write(stored, partition.snapshot())
    expected = _series(stored)
    changed = _restored(stored, block_rows=after)
    _write(stored, changed.snapshot())
    assert len(stored) == -(-9 // after)
    assert _series(stored) == expected
    assert changed.process(stream, NOW) == []


def test_another_model_learns_anew_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    stored = Stored()
    partition = _partition()
    partition.process(_stream(steps=40), NOW)
    _write(stored, partition.snapshot())
    other = _restored(stored, model="tidegate")
    assert "learnt anew: models" in caplog.text
    assert len(other) == 9
    assert other.process(_stream(steps=40), NOW) == []  # what was learnt is not learnt twice


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


def test_no_series_runs_ahead_of_one_that_has_not_begun() -> None:
    """Wherever a planner stops reading, it knows all series before it is past the first minute."""
    steps = 120
    records = [
        sample(pod * steps + step, START + step * 15_000, 1.0, metric="rps", service="checkout", pod=str(pod))
        for pod in range(3)
        for step in range(steps)
    ]
    signals = [decode(value, Signal) for value in _of(_partition().process(records, NOW), "signals")]
    past = [number for number, signal in enumerate(signals) if signal.times[-1] >= START + 60_000]
    begun = {signal.series for signal in signals[: past[0]]}
    assert len(begun) == 3
    for series in begun:
        times = [ts for signal in signals if signal.series == series for ts in signal.times]
        assert times == [START + step * 15_000 for step in range(steps)]


@pytest.mark.parametrize("broken", [b"", b"\xc1", b"\x97\x63\x00\x00\x90\xc4\x00\xc4\x00\xc4\x00"])
def test_a_block_that_cannot_be_read_is_told_and_learnt_anew(
    broken: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    stored = Stored()
    partition = _partition()
    partition.process(_stream(steps=3), NOW)
    _write(stored, partition.snapshot())
    stored[b"1"] = broken
    restored = _restored(stored)
    assert "learnt anew: block" in caplog.text
    assert len(restored) == 5
    restored.process(_stream(steps=3), NOW)
    assert len(restored) == 9
