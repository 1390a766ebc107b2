"""`tidegate experiment`: assignment and report from a file."""

import json
from pathlib import Path

import numpy as np
import pytest

from planners.releases.experiment import Report
from streams.config import ConfigError
from streams.experiment_file import ExperimentError, in_words, read_experiment, run

DESCRIBED = """
name = "checkout-button"
variants = { control = 50.0, red = 25.0, blue = 25.0 }

[[metrics]]
name = "bought"
kind = "rate"
harm = "down"
"""


@pytest.fixture
def described(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.toml"
    path.write_text(DESCRIBED)
    return path


def _lines(path: Path, rates: dict[str, float], hours: int, units: dict[str, int]) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for hour in range(hours):
        for variant, rate in rates.items():
            ts = 3_600_000 * hour
            rows.append({"ts": ts, "variant": variant, "units": units[variant]})
            bought = int(rng.binomial(units[variant], rate))
            rows.append(
                {"ts": ts, "variant": variant, "metric": "bought", "count": bought, "total": units[variant]}
            )
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


UNITS = {"control": 500, "red": 250, "blue": 250}


def test_the_better_variant_wins_at_the_first_certain_look(described: Path, tmp_path: Path) -> None:
    config = read_experiment(described)
    rates = {"control": 0.20, "red": 0.26, "blue": 0.20}
    looks: list[Report] = []
    state, report = run(config, _lines(tmp_path / "o.jsonl", rates, 100, UNITS), looks.append)
    assert (report.state, report.winner) == ("winner", "red")
    assert looks[-1] == report
    assert all(look.state == "running" for look in looks[:-1])
    words = in_words(report, state.thompson())
    assert "checkout-button: winner, red" in words
    assert "red bought: better" in words
    assert state.thompson()["red"] > 80


def test_a_wrong_split_of_units_makes_every_result_invalid(described: Path, tmp_path: Path) -> None:
    rates = {"control": 0.20, "red": 0.26, "blue": 0.20}
    skewed = {"control": 500, "red": 330, "blue": 170}
    _, report = run(read_experiment(described), _lines(tmp_path / "o.jsonl", rates, 20, skewed))
    assert (report.state, report.winner) == ("invalid", None)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"ts":0,"variant":"green","units":5}', "no variant green; it has control, red, blue"),
        ('{"ts":0,"variant":"red","metric":"sold","count":1,"total":2}', "no metric sold"),
        ('{"ts":0,"variant":"red","metric":"bought","count":1}', 'expected one of "count"'),
        ("nonsense", "line 2"),
    ],
)
def test_a_line_that_does_not_fit_is_named(described: Path, tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "o.jsonl"
    path.write_text('{"ts":0,"variant":"control","units":5}\n' + line)
    with pytest.raises(ExperimentError, match=told) as raised:
        run(read_experiment(described), path)
    assert f"{path}, line 2" in str(raised.value)


def test_a_description_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text('name = "x"\nvariants = { only = 100.0 }\n[[metrics]]\nname = "m"\nkind = "rate"\n')
    with pytest.raises(ConfigError, match="needs a control, a variant and a metric"):
        read_experiment(path)
