"""The page and the what-if table: what they show is what the replay did, and nothing comes from a network."""

import math
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from typer.testing import CliRunner

from planners.cost import Prices
from streams.backtest_scale import backtest
from streams.cli import app
from streams.preview.course import Course, CourseRecorder
from streams.preview.page import page
from streams.preview.replay import look
from streams.preview.what_if import case_of, row, variations
from streams.scale_config import ScaleConfig
from streams.traces import TraceError

CONFIG = ScaleConfig(capacity=10.0, startup_s=120.0)


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(6)
    minutes = np.arange(2 * 1440)
    load = 150 - 100 * np.cos(2 * math.pi * minutes / 1440) + rng.normal(0, 4, len(minutes))
    load[2000:2030] *= 2.5
    path = tmp_path_factory.mktemp("traces") / "<load>.csv"
    rows = (f"{1_700_000_000 + 60 * minute},{value:.2f}" for minute, value in zip(minutes, load, strict=True))
    path.write_text("ts,value\n" + "\n".join(rows) + "\n")
    return path


@pytest.fixture(scope="module")
def course(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> Course:
    recorder = CourseRecorder(CONFIG, 10.0, Prices())
    backtest(trace, tmp_path_factory.mktemp("out") / "decisions.csv", CONFIG, see=recorder.see)
    found = recorder.course()
    assert found is not None
    return found


def test_the_course_adds_up(course: Course) -> None:
    steps = np.diff(course.times, prepend=course.times[0] - 60.0) / 3_600.0
    ours = course.totals["actual"]
    assert ours.replica_hours == pytest.approx(float(course.ours @ steps))
    assert course.cost[-1] == pytest.approx(ours.spend)
    assert course.hpa_cost[-1] == pytest.approx(course.totals["hpa"].spend)
    assert course.static_cost[-1] == pytest.approx(course.totals["static"].spend)
    assert (np.diff(course.cost) > 0).all()
    assert (course.ready <= course.ours).all()
    served = course.ready * 10.0 >= course.load
    assert not (course.short.astype(bool) & served & (np.roll(course.ready, 1) == course.ready)).any()
    assert 1990 <= int(np.flatnonzero(course.short)[-1]) <= 2040  # the crowd


def test_the_band_is_that_of_the_forecast_made_before(course: Course) -> None:
    late = slice(1500, 1990)
    inside = (course.load[late] >= course.lower[late]) & (course.load[late] <= course.upper[late])
    assert 0.85 < inside.mean() <= 1.0


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "action")]


def test_the_page_is_one_file_that_asks_nothing_of_a_network(course: Course) -> None:
    text = page("<script>alert(1)</script>", course, [case_of(CONFIG, course)])
    read = _Links()
    read.feed(text)
    assert read.links == []
    assert "script" not in read.tags
    assert "url(" not in text
    assert "http" not in text
    assert text.count("<svg") == 4
    for picture in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(picture)  # noqa: S314 - it is our own
        assert "nan" not in picture
    spend = f"{course.totals['actual'].spend:,.1f}"
    assert f"<td>{spend}</td>" in text
    assert "What if" in text


def test_the_variations_change_one_thing_each() -> None:
    settings = [(each.startup_s, each.price, each.penalty) for each in variations(CONFIG)]
    base = (CONFIG.startup_s, CONFIG.price, CONFIG.penalty)
    assert len(settings) == len(set(settings)) == 6
    assert all(sum(a != b for a, b in zip(each, base, strict=True)) == 1 for each in settings)


def test_the_command_draws_and_tabulates(trace: Path, tmp_path: Path) -> None:
    out, html = tmp_path / "decisions.csv", tmp_path / "out.html"
    short = tmp_path / "short.csv"
    short.write_text("\n".join(trace.read_text().splitlines()[:400]) + "\n")
    arguments = ["backtest", "scale", str(short), "--out", str(out), "--capacity", "10"]
    plain = CliRunner().invoke(app, arguments, catch_exceptions=False)
    decisions = out.read_text()
    done = CliRunner().invoke(app, [*arguments, "--plot", str(html), "--what-if"], catch_exceptions=False)
    assert (plain.exit_code, done.exit_code) == (0, 0)
    assert out.read_text() == decisions  # looking changes nothing
    table = [line.split() for line in done.output.splitlines() if re.match(r"\s+[\d.]+\s+[\d.]+\s+", line)]
    assert [cells[0] for cells in table] == ["120", "60", "240", "120", "120", "120", "120"]
    assert html.read_text().startswith("<!doctype html>")
    # A start-up twice as long needs more head-room, or is short more often.
    spend = {cells[0]: float(cells[3]) for cells in table[:3]}
    breaches = {cells[0]: float(cells[6]) for cells in table[:3]}
    assert spend["240"] > spend["60"] or breaches["240"] > breaches["60"]


def test_a_trace_with_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("ts,value\n0,0\n60,0\n")
    with pytest.raises(TraceError, match="no load above zero"):
        look(path, tmp_path / "d.csv", ScaleConfig(), tmp_path / "p.html", others=False)
    path.write_text("ts,value\n0,5\n")
    with pytest.raises(TraceError, match="less than two rows"):
        look(path, tmp_path / "d.csv", ScaleConfig(), tmp_path / "p.html", others=False)


def test_a_row_of_the_table_says_what_was_saved(course: Course) -> None:
    cells = row(case_of(CONFIG, course))
    ours, hpa = course.totals["actual"], course.totals["hpa"]
    assert cells[4] == f"{ours.spend / hpa.spend - 1:+.1%}"
    assert cells[8:] == (str(ours.incidents), str(hpa.incidents))
