"""Versions of a target's forecasters in the loop: scored, compared, told of, kept over restarts."""

import numpy as np
import pytest

from planners.releases.contest import ContestConfig
from schemas import Forecast, ModelVersion, Signal, decode
from streams.config import ConfigError, TargetConfig, parse
from streams.model_scores import DAY_MS, ModelScores
from streams.model_versions import version_of
from streams.output import Output
from streams.planning import PlanPartition
from streams.scaling import ScaleConfig
from tests.streams.records import MINUTE, START, FakeRecord, message

TARGET = TargetConfig(
    name="shop",
    load="rps",
    scale=ScaleConfig(capacity=10.0),
    contest=ContestConfig(champion="weekly-naive", challenger="ensemble", least=60),
)


def records(count: int) -> list[FakeRecord]:
    rng = np.random.default_rng(0)
    made = []
    for step in range(count):
        load = 150 + 80 * np.sin(step / 60) + rng.normal(0, 4)
        ts = START + step * MINUTE
        body = Signal(
            target="shop", series="rps{}", role="load", arm=None, times=[ts], values=[float(load)], source=0
        )
        made.append(message("signals", step, body))
    return made


def told(outputs: list[Output]) -> list[ModelVersion]:
    return [decode(out.value, ModelVersion) for out in outputs if out.topic == "models"]


def test_a_better_model_is_promoted_and_publishes_from_then_on() -> None:
    config = TargetConfig(
        name="shop", load="rps", scale=ScaleConfig(capacity=10.0),
        contest=ContestConfig(champion="persistence", challenger="ensemble", least=60),
    )  # fmt: skip
    partition, outputs = PlanPartition(0, {"shop": config}), list[Output]()
    for number, record in enumerate(records(900)):
        outputs += partition.process([record], START + number * MINUTE)
        if number % 200 == 150:  # a restart
            blocks = {key: block for key, block in partition.snapshot() if block is not None}
            partition = PlanPartition(0, {"shop": config})
            partition.restore(blocks, blocks.get)
    champions = [version.model for version in told(outputs) if version.standing == "champion"]
    assert champions[0] == "persistence"
    assert champions[-1] == "ensemble"
    assert champions == sorted(champions, key=("persistence", "ensemble").index), "it changed once"
    (turn,) = {version.ts for version in told(outputs) if version.reason.startswith("promoted: ensemble")}
    published = [decode(out.value, Forecast) for out in outputs if out.topic == "forecasts"]
    assert {each.model for each in published if each.ts < turn} == {"persistence"}
    assert {each.model for each in published if each.ts > turn} == {"ensemble"}
    newest = told(outputs)[-1]
    assert newest.metrics["loss.ensemble"] < newest.metrics["loss.persistence"]
    assert newest.data_from == START
    assert newest.version == version_of(newest.model, newest.parameters)


def test_coverage_and_drift_of_the_input_are_told_day_by_day() -> None:
    scores, rng = ModelScores(), np.random.default_rng(0)
    levels, step = (0.5, 0.9), 600_000
    for tick in range(5 * DAY_MS // step):
        ts = tick * step
        shift = 60.0 if tick * step >= 4 * DAY_MS else 0.0
        load = float(rng.normal(100 + shift, 10))
        scores.score(ts, load, levels, "model", step)
        scores.note(ts + step, {"model": [100.0, 112.8]})  # the quantiles of the first four days
        if ts == 3 * DAY_MS + step:
            assert scores.metrics()["coverage.0.5"] == pytest.approx(0.5, abs=0.15)
            assert scores.metrics()["coverage.0.9"] == pytest.approx(0.9, abs=0.1)
            assert scores.metrics()["input_drift"] < 0.4
    scores.score(5 * DAY_MS, 100.0, levels, "model", step)
    assert scores.metrics()["coverage.0.9"] < 0.1
    assert scores.metrics()["input_drift"] > 2


def test_a_forecast_for_a_moment_without_a_sample_is_not_scored() -> None:
    scores = ModelScores()
    scores.note(60_000, {"model": [1.0]})
    assert scores.score(600_000, 5.0, (0.5,), "model", 60_000) is None
    scores.note(660_000, {"model": [1.0]})
    assert scores.score(660_000, 5.0, (0.5,), "model", 60_000) == {"model": 2.0}


def test_a_model_that_is_not_there_is_named() -> None:
    text = """
[[targets]]
name = "shop"
load = "rps"
scale = {}
contest = { challenger = "prophet" }
"""
    with pytest.raises(ConfigError, match="no model `prophet`; known: persistence"):
        parse(text)
