"""Recorded series in, scored series out, row by row."""

import csv
import gzip
from pathlib import Path

import numpy as np
import pytest

from detectors.registry import make_bank
from streams.backtest_detect import COLUMNS, backtest
from streams.traces import TraceError


def run(folder: Path, texts: dict[str, str]) -> Path:
    for name, text in texts.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    backtest(folder / "in", folder / "out", make_bank)
    return folder / "out"


def rows_of(path: Path) -> list[dict[str, str]]:
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    reader = csv.DictReader(text.splitlines())
    assert tuple(reader.fieldnames or ()) == COLUMNS
    return list(reader)


def minutes(values: list[float]) -> str:
    lines = (f"2024-03-01T{i // 60:02}:{i % 60:02}:00Z,{value!r},x" for i, value in enumerate(values))
    return "\n".join(["TimeStamp,Value,Label", *lines, ""])


NOISE = [float(value) for value in np.random.default_rng(1).normal(10.0, 1.0, 200)]


def test_every_row_comes_back_in_order_with_its_own_text(tmp_path: Path) -> None:
    out = run(tmp_path, {"a/one.csv": minutes([*NOISE, 99.0]), "two.csv.gz": minutes(NOISE)})
    rows = rows_of(out / "a/one.csv")
    assert [float(row["value"]) for row in rows] == [*NOISE, 99.0]
    assert rows[5]["timestamp"] == "2024-03-01T00:05:00Z"
    assert rows[-1]["alarm"] == "1"
    assert float(rows[-1]["anomaly_score"]) > 0.5
    assert float(rows[-1]["upper"]) < 99.0
    assert rows[0]["expected"] == ""
    assert len(rows_of(out / "two.csv.gz")) == 200
    assert not list(out.rglob("*.part"))


def test_files_do_not_learn_from_each_other(tmp_path: Path) -> None:
    other = minutes([1e6 + value for value in NOISE])
    out = run(tmp_path, {"a.csv": other, "b.csv": minutes(NOISE)})
    alone = run(tmp_path / "alone", {"b.csv": minutes(NOISE)})
    assert (out / "b.csv").read_text() == (alone / "b.csv").read_text()


def test_rows_that_are_no_data_are_kept_and_not_learnt(tmp_path: Path) -> None:
    lines = minutes(NOISE).splitlines()
    lines[101:101] = [
        "2024-03-01T01:40:00Z,,x",
        "2024-03-01T01:40:00Z,NaN,x",
        "2024-03-01T01:40:00Z,inf,x",
        "2024-03-01T00:01:00Z,500,late",
    ]
    out = run(tmp_path, {"holes.csv": "\n".join(lines), "whole.csv": minutes(NOISE)})
    holes = rows_of(out / "holes.csv")
    for row in holes[100:104]:
        assert (row["anomaly_score"], row["alarm"], row["upper"]) == ("0", "0", "")
    assert holes[103]["value"] == "500"
    assert holes[:100] + holes[104:] == rows_of(out / "whole.csv")


@pytest.mark.parametrize("unit", [1, 1000])
def test_seconds_and_milliseconds_are_told_apart(tmp_path: Path, unit: int) -> None:
    lines = [f"{(1_709_251_200 + 60 * i) * unit},{value!r}" for i, value in enumerate(NOISE)]
    out = run(tmp_path, {"unix.csv": "\n".join(["ts,value", *lines]), "iso.csv": minutes(NOISE)})
    unix, iso = rows_of(out / "unix.csv"), rows_of(out / "iso.csv")
    assert [row["anomaly_score"] for row in unix] == [row["anomaly_score"] for row in iso]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "bad.csv: empty"),
        ("t,v\n2024-01-01,1\nyesterday,2\n", "bad.csv, line 3: time 'yesterday'"),
        ("t,v\n2024-01-01,1\n2024-01-02,much\n", "bad.csv, line 3: value 'much'"),
        ("t,v\n2024-01-01\n", "bad.csv, line 2: one column"),
        ("t,v\nnan,1\n", "bad.csv, line 2: time 'nan' is not finite"),
    ],
)
def test_bad_input_is_named_by_file_and_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(TraceError, match=told):
        run(tmp_path, {"bad.csv": text})
    assert not (tmp_path / "out/bad.csv").exists()


def test_a_folder_without_series_is_said(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"no \.csv"):
        backtest(tmp_path, tmp_path / "out", make_bank)


def test_progress_counts_files(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(minutes(NOISE[:30]))
    seen: list[tuple[int, int]] = []
    backtest(tmp_path, tmp_path / "out", make_bank, lambda done, total: seen.append((done, total)))
    assert seen == [(0, 2), (1, 2), (2, 2)]
