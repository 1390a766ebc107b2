"""The demo runs the whole loop: anomalies, forecasts, commands carried out once, the bad release gone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from streams.demo.load import generated_week, recorded
from streams.demo.report import Latency, Report, Versus, in_words
from streams.traces import TraceError

END = 1_700_000_000_000


@pytest.mark.slow
def test_the_loop_from_load_to_rollback(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    command = [
        sys.executable,
        "-m",
        "streams",
        "demo",
        "--headless",
        "--seconds",
        "45",
        "--report",
        str(report),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "TERM": "dumb"}, check=False
    )
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_bytes())
    assert figures["samples"] > 300_000
    assert figures["dead_letters"] == 3
    assert figures["anomalies"] > 0
    assert figures["alerts"] > 0
    assert figures["forecasts"] > 1_000
    assert figures["executed_twice"] == 0
    assert figures["rollbacks_executed"] == 1
    assert figures["commands"]["rollback"] == 1
    assert figures["outcomes"]["scale"] == {"executed": figures["commands"]["scale"]}
    assert figures["replica_hours"]["tidegate"] < figures["replica_hours"]["hpa"]
    assert "The bad release was rolled back" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "steps", "end", "told"),
    [
        ("bad-release", [5.0], "rolled-back", "The bad release was rolled back: rollback: http_errors"),
        (
            "good-release",
            [5.0, 25.0, 50.0, 100.0],
            "promoted",
            "v2 promoted: the last step, 100 %, went well",
        ),
    ],
)
def test_a_canary_ends_as_its_release_deserves(
    tmp_path: Path, scenario: str, steps: list[float], end: str, told: str
) -> None:
    report, trace = tmp_path / "report.json", tmp_path / "load.csv"
    rows = [f"{60 * i},{200 + 50 * np.sin(i / 60):.3f}" for i in range(400)]
    trace.write_text("ts,value\n" + "\n".join(rows))
    arguments = ["--headless", "--trace", str(trace), "--scenario", scenario, "--report", str(report)]
    done = subprocess.run(
        [sys.executable, "-m", "streams", "demo", *arguments],
        capture_output=True, text=True, env={**os.environ, "TERM": "dumb"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(report.read_bytes())
    # That the failing release is not scaled up is told too, where the load asks for it.
    changes = [change for change in figures["releases"] if change["what"] != "held"]
    assert [change["what"] for change in changes] == ["deployed", *["set-traffic"] * len(steps), end]
    assert [change["percent"] for change in changes if change["what"] == "set-traffic"] == steps
    assert figures["executed_twice"] == 0
    assert figures["rollbacks_executed"] == (end == "rolled-back")
    assert told in done.stdout


def test_the_week_is_the_same_for_the_same_seed_and_looks_like_one() -> None:
    week = generated_week(END, seed=1)
    assert np.array_equal(week.values, generated_week(END, seed=1).values)
    assert not np.array_equal(week.values, generated_week(END, seed=2).values)
    assert len(week.times) == 7 * 1_440
    assert week.step_ms == 60_000
    assert END - 60_000 < week.times[-1] <= END
    assert week.values.min() > 0
    assert week.values.max() > 3 * np.median(week.values)


def test_a_trace_is_read_in_order_without_gaps_in_the_way(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    rows = [f"{60 * i},{i}" for i in range(100)]
    rows[50] = "3000,"  # missing
    rows[70] = "60,999"  # out of order
    path.write_text("ts,value\n" + "\n".join(rows))
    load = recorded(path)
    assert len(load.times) == 98
    assert (np.diff(load.times) > 0).all()
    assert load.values.max() == 99


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "empty"),
        ("ts,value\n0,1\n60,2\n", "an hour of load at least"),
        ("ts,value\n0,1\nsoon,2\n", "line 3: time 'soon'"),
        ("ts,value\n0,many\n", "line 2: value 'many'"),
        ("ts,value\n" + "\n".join(f"{60 * i},0" for i in range(100)), "zero throughout"),
    ],
)
def test_a_trace_that_cannot_be_used_is_refused_with_the_place(
    tmp_path: Path, content: str, told: str
) -> None:
    path = tmp_path / "load.csv"
    path.write_text(content)
    with pytest.raises(TraceError) as raised:
        recorded(path)
    assert told in str(raised.value)
    assert str(path) in str(raised.value)


def test_the_summary_says_what_happened_in_words() -> None:
    report = Report(
        load="load.csv",
        live_hours=2.0,
        records=10,
        samples=20,
        dead_letters=1,
        anomalies=2,
        alerts=3,
        forecasts=4,
        commands={"scale": 5, "rollback": 1},
        outcomes={"scale": {"executed": 4, "failed": 1}, "rollback": {"executed": 1}},
        executed_twice=0,
        rollbacks_executed=1,
        rollback_reason="errors are up",
        breach_minutes=Versus(tidegate=1, hpa=9),
        incidents=Versus(tidegate=1, hpa=3),
        replica_hours=Versus(tidegate=75, hpa=100),
        latency_ms=Latency(p50=12.0, p99=30.0),
    )
    words = in_words(report)
    assert "5 were carried out, 0 of them twice" in words
    assert "25% less with Tidegate" in words
    assert "errors are up" in words
