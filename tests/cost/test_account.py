"""A target's account in the stream: reports, alerts before the budget breaks, shadows, replays."""

import json
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from aiokafka import AIOKafkaProducer

from planners.cost import Prices
from schemas import Alert, Command, Cost, Signal, decode
from streams.accounting import AccountState, account, priced
from streams.config import ConfigError, TargetConfig, parse
from streams.cost_report import from_topic, in_words
from streams.embedded import EmbeddedBroker
from streams.output import Output
from streams.planning import PlanPartition
from streams.scale_config import ScaleConfig
from tests.streams.records import FakeRecord, message

MINUTE = 60_000
FIRST = 1_698_796_800_000  # 2023-11-01 00:00 UTC
DAY = 1440

SCALE = ScaleConfig(capacity=10.0, max=50, startup_s=120.0)
TARGET = TargetConfig(name="checkout", load="rps", replicas="pods", scale=SCALE)


def _run(config: TargetConfig, minutes: int, pods: int | None = None, cut: int | None = None) -> list[Output]:
    """The outputs of some minutes of load; the platform tells `pods` replicas where given."""
    rng = np.random.default_rng(3)
    partition = PlanPartition(0, {config.name: config})
    outputs: list[Output] = []
    for minute in range(minutes):
        ts = FIRST + minute * MINUTE
        load = 150 - 100 * math.cos(2 * math.pi * minute / DAY) + rng.normal(0, 4)
        told = {"load": load} if pods is None else {"replicas": float(pods), "load": load}
        records: list[FakeRecord] = []
        for role, value in told.items():
            series = f"{role}{{}}"
            body = Signal(
                target=config.name, series=series, role=role, arm=None, times=[ts], values=[value], source=0
            )
            records.append(message("signals", 2 * minute, body))
        if minute == cut:  # the worker dies here, and another goes on from what was written
            blocks = {key: block for key, block in partition.snapshot() if block is not None}
            partition = PlanPartition(0, {config.name: config})
            partition.restore(blocks, blocks.get)
        outputs += partition.process(records, ts)
    return outputs


def _told(outputs: list[Output], topic: str, kind: type) -> list:  # type: ignore[type-arg]
    return [decode(out.value, kind) for out in outputs if out.topic == topic]


@pytest.fixture(scope="module")
def five_days() -> list[Output]:
    """Five days in shadow mode, on a platform that always runs 30, with a budget for 25."""
    shadow = {"mode": "shadow", "budget_per_month": 25.0 * 24 * 30}
    fields = {name: getattr(TARGET, name) for name in TARGET.__struct_fields__} | shadow
    return _run(TargetConfig(**fields), 5 * DAY, pods=30)


def test_each_hour_is_reported_with_what_others_would_have_cost(five_days: list[Output]) -> None:
    reports = _told(five_days, "costs", Cost)
    assert len(reports) == 5 * 24 - 1
    last = reports[-1]
    hours = (last.ts - last.since) / 3_600_000
    assert (last.month, last.mode) == ("2023-11", "shadow")
    assert last.fleets["actual"].spend == pytest.approx(30 * hours)
    assert last.fleets["actual"].breach_minutes == 0.0
    assert last.fleets["static"].replica_hours == pytest.approx(26 * hours, rel=0.05)
    assert last.fleets["decided"].spend < last.fleets["hpa"].spend < last.fleets["static"].spend
    assert last.expected == pytest.approx(30 * 24 * 30, rel=0.02)


def test_decisions_in_shadow_are_written_from_their_own_count_not_the_platform_s(
    five_days: list[Output],
) -> None:
    commands = _told(five_days, "commands", Command)
    assert len(commands) > 50
    assert all(a.action.replicas == b.action.previous for a, b in pairwise(commands))
    assert [command.action.previous for command in commands].count(30) == 1  # where it began


def test_the_budget_alert_comes_weeks_before_the_budget_is_spent(five_days: list[Output]) -> None:
    (alert,) = _told(five_days, "alerts", Alert)
    assert (alert.state, alert.severity, alert.target) == ("firing", "warning", "checkout")
    assert "the month's budget will not last" in alert.summary
    assert (alert.changed_at - FIRST) / (DAY * MINUTE) < 2.1  # it would be spent on the 26th


def test_a_crash_changes_no_report_and_no_alert() -> None:
    config = TARGET
    whole, cut = _run(config, 3 * 60, pods=20), _run(config, 3 * 60, pods=20, cut=100)
    assert [out for out in cut if out.topic in ("costs", "alerts")] == [
        out for out in whole if out.topic in ("costs", "alerts")
    ]


def test_without_a_word_from_the_platform_what_was_decided_is_what_runs() -> None:
    config = TargetConfig(name="checkout", load="rps", scale=SCALE)
    reports = _told(_run(config, 4 * 60), "costs", Cost)
    assert set(reports[-1].fleets) == {"actual", "hpa", "static"}
    assert reports[-1].fleets["actual"].replica_hours > 0


def test_a_target_may_go_into_the_shadow_and_out_of_it_within_a_month() -> None:
    state, shadow = (
        AccountState(),
        TargetConfig(name="t", load="rps", replicas="pods", scale=SCALE, mode="shadow"),
    )
    active = TargetConfig(name="t", load="rps", replicas="pods", scale=SCALE)
    for minute in range(180):
        config = shadow if 60 <= minute < 120 else active
        account(config, state, ts=FIRST + minute * MINUTE, load=100.0, capacity=10.0, actual=20, decided=12)
        known = state.account
        assert known is not None
        if minute == 119:
            assert known.decided is not None
            # An hour of both, then an hour of twelve for twenty, from the sample after the change.
            spared = known.actual.replica_hours - known.decided.replica_hours
            assert spared == pytest.approx(8 * 59 / 60)
    assert known.decided is None
    assert known.actual.replica_hours == pytest.approx(20 * 179 / 60)


def test_in_cluster_mode_the_target_s_own_planner_commands_nothing() -> None:
    fields = {name: getattr(TARGET, name) for name in TARGET.__struct_fields__} | {"mode": "cluster"}
    outputs = _run(TargetConfig(**fields), 120, pods=12)
    assert not any(out.topic == "commands" for out in outputs)
    assert any(out.topic == "forecasts" for out in outputs)


def test_reserved_replicas_are_kept_and_the_price_is_what_one_more_costs() -> None:
    prices = Prices(on_demand=2.0, reserved=5, spot_price=0.4, spot_share=1.0)
    scale = priced(TargetConfig(name="t", load="rps", scale=SCALE, prices=prices)).scale
    assert scale is not None
    assert scale.min == 5
    assert 0.4 < scale.price < 0.5


def test_a_shadow_needs_to_know_what_really_runs() -> None:
    with pytest.raises(ConfigError, match=r"targets\.t\.replicas: is needed in mode shadow"):
        parse('[[targets]]\nname = "t"\nload = "rps"\nmode = "shadow"\n[targets.scale]\n')


async def test_the_newest_reports_are_read_from_the_topic(
    five_days: list[Output], embedded_broker: EmbeddedBroker
) -> None:
    connection = {"bootstrap_servers": embedded_broker.address}
    async with AIOKafkaProducer(**connection) as producer:
        for out in (out for out in five_days if out.topic == "costs"):
            await producer.send("costs", out.value, key=out.key)
        await producer.send("costs", b"not ours", key=b"x")
    (found,) = await from_topic("costs", connection)
    assert found == _told(five_days, "costs", Cost)[-1]
    words = in_words([found])
    assert "checkout in shadow mode: its own decisions would have cost" in words
    assert "18000.00" in words


def test_cost_of_a_recorded_load_and_its_decisions(tmp_path: Path) -> None:
    rows = [f"{FIRST // 1000 + 60 * minute},{100 if minute < 600 else 200}" for minute in range(1200)]
    (tmp_path / "load.csv").write_text("ts,value\n" + "\n".join(rows) + "\n")
    (tmp_path / "decisions.csv").write_text(f"ts,replicas\n{FIRST // 1000},12\n{FIRST // 1000 + 36000},24\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "streams", "cost", "--trace", str(tmp_path / "load.csv"),
            "--decisions", str(tmp_path / "decisions.csv"), "--capacity", "10",
            "--json", str(tmp_path / "o.json"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (report,) = json.loads((tmp_path / "o.json").read_bytes())
    actual = report["fleets"]["actual"]
    # Twelve for the first ten hours, twenty-four for the rest; twenty are needed and serve two minutes late.
    assert actual["spend"] == pytest.approx(12 * 10 + 24 * (599 / 60))
    assert actual["breach_minutes"] == pytest.approx(3.0)
    assert report["fleets"]["static"]["spend"] == pytest.approx(20 * 1199 / 60)
    assert "in all" not in done.stdout
