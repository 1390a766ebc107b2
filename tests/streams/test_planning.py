"""One partition of targets: signals become forecasts and commands, a bad release one rollback."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planners.releases import JudgeConfig, MetricSpec
from schemas import (
    Command,
    DeadLetter,
    Deployment,
    Forecast,
    Outcome,
    Rollback,
    Scale,
    Signal,
    Status,
    decode,
)
from streams.config import TargetConfig
from streams.output import Output
from streams.planning import PlanPartition
from streams.scaling import ScaleConfig
from tests.streams.records import MINUTE, START, FakeRecord, message

TARGET = TargetConfig(
    name="checkout",
    load="rps",
    command_ttl_s=300.0,
    scale=ScaleConfig(capacity=10.0, max=50),
    release=JudgeConfig(metrics=(MetricSpec(name="errors", kind="gauge", tolerance=0.5, margin=1.0),)),
)


def _partition() -> PlanPartition:
    return PlanPartition(0, {"checkout": TARGET})


def _signal(offset: int, step: int, role: str, value: float, target: str = "checkout") -> FakeRecord:
    ts = START + step * MINUTE
    body = Signal(
        target=target, series=f"{role}{{}}", role=role, arm=None, times=[ts], values=[float(value)], source=0
    )
    return message("signals", offset, body)


def _day(bad_from: int | None = None, steps: int = 600) -> list[FakeRecord]:
    rng = np.random.default_rng(3)
    records: list[FakeRecord] = []
    for step in range(steps):
        if step == bad_from:
            event = Deployment(target="checkout", release="v2", ts=START + step * MINUTE, previous="v1")
            records.append(message("events", 0, event))
        load = 150 + 100 * np.sin(step / 90) + rng.normal(0, 5)
        errors = 0.005 + 0.0005 * rng.normal() + (0.06 if bad_from is not None and step >= bad_from else 0)
        records += [_signal(2 * step, step, "load", load), _signal(2 * step + 1, step, "errors", errors)]
    return records


def _run(partition: PlanPartition, records: list[FakeRecord], now: int = START) -> list[Output]:
    return [out for record in records for out in partition.process([record], now)]


def _stored(written: list[tuple[bytes, bytes | None]]) -> dict[bytes, bytes]:
    return {key: block for key, block in written if block is not None}


def _commands(outputs: list[Output]) -> list[Command]:
    return [decode(value, Command) for topic, _, value, _ in outputs if topic == "commands"]


def test_load_becomes_forecasts_and_scale_commands_with_reasons() -> None:
    outputs = _run(_partition(), _day())
    forecasts = [decode(value, Forecast) for topic, _, value, _ in outputs if topic == "forecasts"]
    commands = _commands(outputs)
    assert len(forecasts) > 300
    assert len(commands) > 10
    for command in commands:
        assert isinstance(command.action, Scale)
        assert command.reasons
        assert command.expires_at == command.issued_at + 300_000
    assert all(c.action.replicas != c.action.previous for c in commands[1:] if isinstance(c.action, Scale))
    sequences = [command.sequence for command in commands]
    assert sequences == sorted(set(sequences))


def test_a_bad_release_is_rolled_back_once_with_its_reason() -> None:
    outputs = _run(_partition(), _day(bad_from=300))
    (rollback,) = [command for command in _commands(outputs) if command.kind == "rollback"]
    assert rollback.action == Rollback(release="v2", to="v1")
    assert "errors" in rollback.reasons[0]
    assert START + 300 * MINUTE < rollback.issued_at < START + 315 * MINUTE


def test_a_harmless_release_is_not_rolled_back() -> None:
    records = _day(steps=600)
    event = Deployment(target="checkout", release="v2", ts=START + 300 * MINUTE, previous="v1")
    records.insert(600, message("events", 0, event))
    assert [c.kind for c in _commands(_run(_partition(), records)) if c.kind != "scale"] == []


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1200), st.integers(0, 1200), st.booleans())
def test_a_replay_after_a_crash_gives_the_same_commands(saved: int, crash: int, whole: bool) -> None:
    records = _day(bad_from=300)
    expected = {command.id: command for command in _commands(_run(_partition(), records))}
    saved, crash = min(saved, crash), max(saved, crash)
    first = _partition()
    outputs = _run(first, records[:saved])
    blocks = _stored(first.snapshot())
    outputs += _run(first, records[saved:crash])
    second = _partition()
    second.restore(blocks, blocks.get)
    # All that was not acknowledged comes again; at times a record more than that.
    outputs += _run(second, records[0 if whole else saved :])
    assert {command.id: command for command in _commands(outputs)} == expected


def test_commands_that_nobody_would_execute_any_more_are_not_issued() -> None:
    late = START + 600 * MINUTE
    commands = _commands(_run(_partition(), _day(), now=late))
    assert all(command.issued_at >= late - 300_000 for command in commands)


def test_what_was_decided_while_catching_up_is_asked_for_once_it_is_fresh() -> None:
    records = [_signal(step, step, "load", 200.0) for step in range(60)]
    (command,) = _commands(_run(_partition(), records, now=START + 62 * MINUTE))
    assert isinstance(command.action, Scale)
    assert command.issued_at == START + 58 * MINUTE  # the first that has not expired
    assert 20 <= command.action.replicas <= 40


def test_a_platform_that_was_not_asked_keeps_what_it_has() -> None:
    told = [_signal(0, 0, "replicas", 7.0)]
    target = msgspec.structs.replace(TARGET, replicas="replicas")
    partition = PlanPartition(0, {"checkout": target})
    _run(partition, told)
    records = [_signal(step, step, "load", 200.0) for step in range(1, 61)]
    (command,) = _commands(_run(partition, records, now=START + 63 * MINUTE))
    assert isinstance(command.action, Scale)
    assert command.action.previous == 7


@pytest.mark.parametrize("status", ["failed", "paused", "expired"])
def test_a_scale_that_was_not_carried_out_is_asked_for_again(status: Status) -> None:
    partition = _partition()
    records = _day(steps=60)
    commands = _commands(_run(partition, records[:100]))
    last = commands[-1]
    assert isinstance(last.action, Scale)
    outcome = Outcome(
        command=last.id, target="checkout", kind="scale", status=status, detail="", actuator="x", at=0
    )
    partition.process([message("outcomes", 0, outcome)], START)
    again = _commands(_run(partition, records[100:]))
    assert again[0].id != last.id
    assert again[0].issued_at == START + 50 * MINUTE  # with the next sample


def test_what_cannot_be_read_is_a_dead_letter() -> None:
    outputs = _partition().process([FakeRecord(b"nonsense", 7, topic="events")], START)
    (letter,) = [decode(value, DeadLetter) for topic, _, value, _ in outputs if topic == "dead-letters"]
    assert (letter.topic, letter.offset) == ("events", 7)


def test_targets_that_are_not_configured_are_left_alone() -> None:
    partition = _partition()
    assert partition.process([_signal(0, 0, "load", 1.0, target="other")], START) == []
    assert partition.snapshot() == []
