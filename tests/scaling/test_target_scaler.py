"""One target's scaler, its state, and its backtest."""

import csv
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from schemas import Forecast, decode, encode
from streams.backtest_scale import backtest
from streams.scaling import Member, ScaleConfig, ScalerStateError, TargetScaler
from streams.traces import TraceError
from tests.scaling.service import DAY, MINUTE_MS, START_MS, by_day, noisy

LOAD = noisy(by_day(2, lambda _: (60, 200)), np.random.default_rng(2))
CONFIG = ScaleConfig(capacity=10.0)


def feed(scaler: TargetScaler, start: int, stop: int) -> list[tuple[int, str]]:
    """Replicas and first reason of each minute."""
    out, replicas = [], None
    for minute in range(start, stop):
        _, decision = scaler.observe(START_MS + minute * MINUTE_MS, float(LOAD[minute % len(LOAD)]), replicas)
        assert decision is not None
        replicas = decision.replicas
        out.append((replicas, decision.reasons[0]))
    return out


def write(path: Path, rows: list[tuple[object, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("ts", "value"))
        writer.writerows(rows)
    return path


def decisions(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_learns_then_plans_and_publishes() -> None:
    scaler = TargetScaler(CONFIG)
    words = feed(scaler, 0, 600)
    assert "reactive rule: " in words[0][1]
    assert "median" in words[-1][1]
    forecast, decision = scaler.observe(START_MS + 600 * MINUTE_MS, float(LOAD[600]), 5)
    assert decision is not None
    assert decision.previous == 5
    assert forecast is not None
    message = forecast.message("shop")
    assert decode(encode(message), Forecast) == message
    assert message.id == f"shop:forecast:{START_MS + 600 * MINUTE_MS}"
    assert len(message.values) == len(message.horizons_ms) == len(CONFIG.horizons_s)
    assert all(row == sorted(row) and len(row) == len(message.levels) for row in message.values)


def test_replay_and_disorder_are_ignored() -> None:
    scaler = TargetScaler(CONFIG)
    feed(scaler, 0, 50)
    before = scaler.to_bytes()
    assert scaler.observe(START_MS + 20 * MINUTE_MS, 1e9, 3) == (None, None)
    assert scaler.to_bytes() == before


@pytest.mark.parametrize("config", [CONFIG, ScaleConfig()])
def test_goes_on_from_its_bytes(config: ScaleConfig) -> None:
    straight, stored = TargetScaler(config), TargetScaler(config)
    whole = feed(straight, 0, 700)
    halves = feed(stored, 0, 350)
    stored = TargetScaler.from_bytes(config, stored.to_bytes())
    # The count is fed back, so the second half starts without an observed one: the last decision counts.
    halves += feed(stored, 350, 700)
    assert halves == whole
    assert stored.to_bytes() == straight.to_bytes()
    with pytest.raises(ScalerStateError, match="layout"):
        TargetScaler.from_bytes(config, b"nonsense")


def test_numpy_scalars_are_taken() -> None:
    scaler = TargetScaler(CONFIG)
    for minute in range(5):
        scaler.observe(np.int64(START_MS + minute * MINUTE_MS), LOAD[minute], np.int64(3), np.float64(0.0))
    assert TargetScaler.from_bytes(CONFIG, scaler.to_bytes()).to_bytes() == scaler.to_bytes()


def test_state_does_not_grow() -> None:
    scaler = TargetScaler(CONFIG)
    feed(scaler, 0, DAY)
    size = len(scaler.to_bytes())
    feed(scaler, DAY, 2 * DAY)
    assert len(scaler.to_bytes()) < size + 2_000


def test_river_members_need_a_key() -> None:
    config = ScaleConfig(
        capacity=10.0, members={"holt": Member(model="river.time_series.HoltWinters", params={"alpha": 0.3})}
    )
    scaler = TargetScaler(config)
    feed(scaler, 0, 60)
    data = scaler.to_bytes(b"key")
    assert feed(TargetScaler.from_bytes(config, data, b"key"), 60, 70) == feed(scaler, 60, 70)
    with pytest.raises(ScalerStateError, match="signature"):
        TargetScaler.from_bytes(config, data, b"wrong")


def test_lost_samples_and_absurd_ones_stay_inside_the_limits() -> None:
    scaler = TargetScaler(ScaleConfig(capacity=10.0, min=2, max=30, max_step_up=4))
    rng = np.random.default_rng(4)
    replicas = 2
    for minute in range(600):
        load = float(rng.choice([100.0, math.nan, -1.0, 1e12, 0.0, math.inf]))
        _, decision = scaler.observe(START_MS + minute * MINUTE_MS, load, replicas)
        assert decision is not None
        assert 2 <= decision.replicas <= min(30, replicas + 4)
        replicas = decision.replicas


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"planner": "lucky"}, "newsvendor, reactive, fixed"),
        ({"levels": (0.9, 0.5)}, "ascend"),
        ({"horizons_s": ()}, "horizons_s"),
        ({"min": 5, "max": 4}, "min_replicas"),
        ({"peak_replicas": 0.0}, "peak_replicas"),
        ({"members": {"x": Member(model="prophet")}}, "known are"),
    ],
)
def test_configurations_that_cannot_work_are_refused(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ScaleConfig(**change)  # type: ignore[arg-type]


def test_backtest_writes_changes_in_the_trace_s_own_times(tmp_path: Path) -> None:
    stamps = [f"2024-01-01T{minute // 60:02d}:{minute % 60:02d}:00Z" for minute in range(600)]
    trace = write(tmp_path / "trace.csv", list(zip(stamps, LOAD[:600], strict=True)))
    summary = backtest(trace, tmp_path / "out.csv", CONFIG)
    rows = decisions(tmp_path / "out.csv")
    assert rows[0] == ["ts", "replicas"]
    assert rows[1][0] == stamps[0]
    assert {row[0] for row in rows[1:]} <= set(stamps)
    assert all(first[1] != second[1] for first, second in pairwise(rows))
    assert summary.rows == 600
    assert summary.changes == len(rows) - 2
    assert sum(summary.by_rule.values()) == 600


@pytest.mark.parametrize("config", [CONFIG, ScaleConfig()])
def test_backtest_does_not_look_ahead(tmp_path: Path, config: ScaleConfig) -> None:
    rows: list[tuple[object, object]] = [(minute * 60, LOAD[minute]) for minute in range(900)]
    backtest(write(tmp_path / "whole.csv", rows), tmp_path / "whole-out.csv", config)
    backtest(write(tmp_path / "part.csv", rows[:700]), tmp_path / "part-out.csv", config)
    part = decisions(tmp_path / "part-out.csv")
    assert decisions(tmp_path / "whole-out.csv")[: len(part)] == part


def test_backtest_says_where_a_trace_is_broken(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    for rows, words in (
        ([("x", 1)], "line 2: time 'x'"),
        ([(0, "many")], "line 2: value 'many'"),
        ([(0, 1), ("60",)], "line 3: one column"),
    ):
        with pytest.raises(TraceError, match=words):
            backtest(write(tmp_path / "bad.csv", rows), out, CONFIG)  # type: ignore[arg-type]
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(TraceError, match="empty"):
        backtest(tmp_path / "empty.csv", out, CONFIG)
    assert not out.exists()


def test_backtest_skips_rows_that_go_back(tmp_path: Path) -> None:
    trace = write(tmp_path / "t.csv", [(0, 100), (60, 100), (30, 1e6), (60, 1e6), (120, ""), (180, 100)])
    summary = backtest(trace, tmp_path / "out.csv", CONFIG)
    assert summary.skipped == 2
    assert len(decisions(tmp_path / "out.csv")) == 2
