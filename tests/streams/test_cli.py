"""The command line: errors in one line that says what to do, help without loading the models."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest


def _tidegate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "streams", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_schema_prints_json_for_every_message() -> None:
    done = _tidegate("schema")
    assert done.returncode == 0
    printed = json.loads(done.stdout)
    assert set(printed) == {"messages", "asyncapi"}
    assert printed["asyncapi"]["asyncapi"].startswith("3.")


def test_backtest_detect_writes_the_fixed_columns(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True)
    rows = "\n".join(
        f"2026-01-01 {hour:02d}:{minute:02d}:00,{minute}" for hour in range(9) for minute in range(60)
    )
    (folder / "a.csv").write_text("timestamp,value\n" + rows + "\n")
    done = _tidegate("backtest", "detect", tmp_path / "in", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "out" / "deep" / "a.csv").read_text().splitlines()
    assert lines[0] == "timestamp,value,anomaly_score,alarm,expected,lower,upper"
    assert len(lines) == 541


def test_backtest_scale_writes_changes_only(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("ts,value\n" + "".join(f"{60 * i},{100 if i < 200 else 300}\n" for i in range(400)))
    out = tmp_path / "decisions.csv"
    done = _tidegate("backtest", "scale", trace, "--out", out, "--capacity", "10", "--max", "50")
    assert done.returncode == 0, done.stderr
    header, *rows = out.read_text().splitlines()
    assert header == "ts,replicas"
    counts = [int(row.split(",")[1]) for row in rows]
    assert all(before != after for before, after in itertools.pairwise(counts))
    assert max(counts) >= 30


def test_backtest_rollout_gives_each_release_one_verdict(tmp_path: Path) -> None:
    observations = tmp_path / "observations.jsonl"
    lines = []
    for step in range(60):
        for arm, count, total in (("control", 19, 3800), ("canary", 12, 200)):
            body = {
                "ts": 1_700_000_000_000 + 60_000 * step,
                "release": "v2",
                "arm": arm,
                "metric": "errors",
                "count": count,
                "total": total,
            }
            lines.append(json.dumps(body))
    observations.write_text("\n".join(lines) + "\n")
    out = tmp_path / "verdicts.jsonl"
    done = _tidegate("backtest", "rollout", observations, "--out", out)
    assert done.returncode == 0, done.stderr
    (verdict,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert (verdict["release"], verdict["verdict"], verdict["metric"]) == ("v2", "rollback", "errors")
    assert verdict["reason"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("backtest", "detect", "/no/such/folder", "--out", "out"), "/no/such/folder"),
        (("backtest", "scale", "/no/such/trace.csv", "--out", "out"), "/no/such/trace.csv"),
        (("worker", "-c", "/no/such/tidegate.toml"), "cannot be read"),
        (("worker", "-c", "/no/such/tidegate.toml", "--roles", "detect,fly"), "unknown fly; known: detect"),
        (("schema", "comand"), "no message `comand`"),
        (("pause", "-c", "/no/such/tidegate.toml"), "name one target, or give --all"),
        (("demo", "--headless", "--trace", "/no/such/trace.csv"), "cannot be read"),
    ],
)
def test_errors_are_one_line_and_no_traceback(arguments: tuple[str, ...], told: str) -> None:
    done = _tidegate(*arguments)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("tidegate: ")]
    assert told in line
