"""`backtest rollout`: a file of observations in, one line a release out."""

import json
from pathlib import Path

import numpy as np
import pytest

from planners.releases import JudgeConfig, MetricSpec
from streams.backtest_rollout import ObservationError, backtest
from tests.releases.generate import MINUTE, heavier_tail, latencies

START = 1_700_000_000_000


def line(minute: int, release: str, arm: str, metric: str, **seen: object) -> str:
    return json.dumps(
        {"ts": START + minute * MINUTE, "release": release, "arm": arm, "metric": metric, **seen}
    )


def write(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def interleaved(steps: int) -> list[str]:
    """A good release, one with errors, one with a heavier tail, one whose canary is silent."""
    rng = np.random.default_rng(0)
    lines = []
    for minute in range(steps):
        for release in ("good", "errors", "tail", "silent"):
            bad = 0.03 if release == "errors" else 0.005
            count = {"control": int(rng.binomial(1900, 0.005)), "canary": int(rng.binomial(100, bad))}
            values = {
                "control": latencies(rng, 100),
                "canary": (heavier_tail if release == "tail" else latencies)(rng, 100),
            }
            for arm, total in (("control", 1900), ("canary", 100)):
                if release == "silent" and arm == "canary":
                    continue
                lines.append(line(minute, release, arm, "errors", count=count[arm], total=total))
                lines.append(line(minute, release, arm, "latency_ms", values=values[arm]))
    return lines


def test_one_line_per_release(tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.jsonl", interleaved(150)), tmp_path / "out.jsonl"
    seen: list[tuple[int, int]] = []
    verdicts = backtest(source, out, progress=lambda done, of: seen.append((done, of)))
    rows = [json.loads(row) for row in out.read_text().splitlines()]
    assert len(rows) == len(verdicts) == 4
    assert all(list(row) == ["ts", "release", "verdict", "metric", "reason"] for row in rows)
    found = {row["release"]: (row["verdict"], row["metric"]) for row in rows}
    assert found["errors"] == ("rollback", "errors")
    assert found["tail"] == ("rollback", "latency_ms")
    assert found["good"][0] != "rollback"
    assert found["silent"][0] == "continue"
    assert seen[-1] == (source.stat().st_size, source.stat().st_size)


def test_a_verdict_is_decided_from_the_lines_before_it(tmp_path: Path) -> None:
    """Cutting the file behind a verdict leaves the verdict as it was."""
    lines = interleaved(60)
    backtest(write(tmp_path / "in.jsonl", lines), tmp_path / "whole.jsonl")
    rows = [json.loads(row) for row in (tmp_path / "whole.jsonl").read_text().splitlines()]
    whole = next(row for row in rows if row["release"] == "errors")
    cut = [text for text in lines if json.loads(text)["ts"] <= whole["ts"]]
    backtest(write(tmp_path / "cut.jsonl", cut), tmp_path / "out.jsonl")
    rows = [json.loads(row) for row in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert next(row for row in rows if row["release"] == "errors") == whole


def test_an_empty_file_gives_an_empty_file(tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.touch()
    assert backtest(source, tmp_path / "out.jsonl") == []
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_events_per_exposure_may_exceed_it(tmp_path: Path) -> None:
    lines = [
        line(minute, "v2", arm, "crashes", count=count, total=1.5)
        for minute in range(10)
        for arm, count in (("control", 2), ("canary", 20))
    ]
    config = JudgeConfig(metrics=(MetricSpec(name="crashes", kind="count"),))
    verdicts = backtest(write(tmp_path / "in.jsonl", lines), tmp_path / "out.jsonl", config)
    assert [verdict.verdict for verdict in verdicts] == ["rollback"]


GOOD = {"ts": START, "release": "v2", "arm": "canary", "metric": "errors", "count": 1, "total": 10}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "truncated"),
        ("\xff", "JSON is malformed"),
        ("[]", "Expected `object`"),
        (json.dumps({**GOOD, "arm": "blue"}), r"Invalid enum value 'blue' - at `\$.arm`"),
        (json.dumps({**GOOD, "ts": "now"}), r"Expected `int`, got `str` - at `\$.ts`"),
        (json.dumps({**GOOD, "count": -1}), r"Expected `float` >= 0.0 - at `\$.count`"),
        (json.dumps({**GOOD, "count": 11}), "count 11 exceeds total 10"),
        (json.dumps({**GOOD, "extra": 1}), "unknown field `extra`"),
        (json.dumps({**GOOD, "values": [1]}), "expected one of"),
        (json.dumps({key: GOOD[key] for key in GOOD if key != "total"}), "go together"),
        (json.dumps({key: GOOD[key] for key in GOOD if key != "release"}), "`release`"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    source = write(tmp_path / "in.jsonl", [json.dumps(GOOD), "", text])
    with pytest.raises(ObservationError, match=said) as caught:
        backtest(source, tmp_path / "out.jsonl")
    assert str(caught.value).startswith(f"{source}, line 3: ")


def test_a_metric_that_changes_its_form_is_named(tmp_path: Path) -> None:
    lines = [json.dumps(GOOD), line(1, "v2", "canary", "errors", values=[1.0])]
    with pytest.raises(ObservationError, match="line 2: metric errors came as count and total before"):
        backtest(write(tmp_path / "in.jsonl", lines), tmp_path / "out.jsonl")
