"""`tidegate backtest schedule`: the columns, the recorded jobs' own, and errors that name the place."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from planners.placement import Placement, violations
from streams.backtest_schedule import backtest
from streams.jobs_csv import COLUMNS, read_jobs, read_nodes
from streams.traces import TraceError

NODES = "node,cpu,memory,gpu,gpu_model,price\na,8,32000,2,T4,1.0\nb,4,16000,0,,0.3\n"
JOBS = """job,arrival,duration,cpu,memory,gpu,deadline,priority,deferrable
train,2026-01-01T08:00:00,7200,4,8000,1,2026-01-02T08:00:00,5,true
serve,2026-01-01T08:00:00,3600,2,4000,0.5,,1,
huge,2026-01-01T09:00:00,60,64,1,0,,1,
"""


def test_the_command_writes_who_runs_where_and_when(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text(NODES)
    (tmp_path / "jobs.csv").write_text(JOBS)
    (tmp_path / "prices.csv").write_text("ts,price\n2026-01-01T00:00:00,1.0\n2026-01-01T22:00:00,0.4\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "streams", "backtest", "schedule", str(tmp_path / "jobs.csv"),
            "--nodes", str(tmp_path / "nodes.csv"), "--out", str(tmp_path / "out.csv"),
            "--prices", str(tmp_path / "prices.csv"),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 jobs placed, 1 not" in done.stdout
    with (tmp_path / "out.csv").open() as file:
        rows = {row["job"]: row for row in csv.DictReader(file)}
    assert tuple(rows["serve"]) == COLUMNS
    assert rows["serve"]["start"] == "2026-01-01T08:00:00+00:00"
    assert rows["train"]["node"] == "a"
    assert rows["train"]["start"] == "2026-01-01T22:00:00+00:00"
    assert rows["train"]["end"] == "2026-01-02T00:00:00+00:00"
    assert rows["huge"]["node"] == ""
    assert rows["huge"]["reason"] == "no node has 64 CPUs, 1 MiB"


@pytest.mark.parametrize(
    ("jobs", "told"),
    [
        ("job,arrival,duration,cpu,memory\n", "placed nothing"),
        ("job,duration,cpu,memory\na,1,1,1\n", "line 2: no arrival"),
        ("job,arrival,duration,cpu,memory\na,soon,1,1,1\n", "line 2: time 'soon'"),
        ("job,arrival,duration,cpu,memory\na,0,1,-1,1\n", "line 2: cpu is -1.0"),
        ("job,arrival,duration,cpu,memory\na,0,0,1,1\n", "line 2: job a: duration is 0.0"),
        ("job,arrival,duration,cpu,memory,deferrable\na,0,9,1,1,perhaps\n", "deferrable is 'perhaps'"),
        ("job,arrival,duration,memory\na,0,9,1\n", "line 2: no cpu_milli; expected"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_the_place(tmp_path: Path, jobs: str, told: str) -> None:
    (tmp_path / "nodes.csv").write_text(NODES)
    path = tmp_path / "jobs.csv"
    path.write_text(jobs)
    if told == "placed nothing":
        assert backtest(path, tmp_path / "nodes.csv", tmp_path / "out.csv").scores["urgency"].jobs == 0
        return
    with pytest.raises(TraceError) as raised:
        backtest(path, tmp_path / "nodes.csv", tmp_path / "out.csv")
    assert told in str(raised.value)
    assert not (tmp_path / "out.csv").exists()


def test_recorded_jobs_are_placed_as_they_come(shared_data: Path, tmp_path: Path) -> None:
    folder, out = shared_data / "data" / "jobs", tmp_path / "out.csv"
    nodes_file = tmp_path / "nodes.csv"
    lines = (folder / "openb_node_list_all_node.csv").read_text().splitlines()
    nodes_file.write_text("\n".join([lines[0], *lines[1::40]]) + "\n")
    jobs_file = folder / "openb_pod_list_default.csv"
    summary = backtest(jobs_file, nodes_file, out)
    with out.open() as file:
        rows = list(csv.DictReader(file))
    placed = [
        Placement(
            job=row["job"], node=row["node"], start_s=float(row["start"]), end_s=float(row["end"]),
            gpus=tuple(int(each) for each in row["gpus"].split(";") if each),
        )
        for row in rows
        if row["node"]
    ]  # fmt: skip
    jobs = {job.name: job for job in read_jobs(jobs_file).jobs}
    assert violations(jobs, {node.name: node for node in read_nodes(nodes_file)}, placed) == []
    assert len(rows) == 8_152
    assert len(placed) == 7_255 - (summary.refused - 897)
