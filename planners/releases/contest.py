"""Champion and challenger: two models beside each other on live data, and the better one has the word.

Each is scored on the same moments (for quantile forecasts: pinball loss, lower is better). The test is that
of experiments: a confidence sequence of the losses' ratio, valid however often one looks. A challenger that
is better is promoted; the former champion goes on as challenger, so that a promotion that proves wrong on
later data is rolled back by the same test.
"""

from typing import Annotated, Any, Literal

import msgspec

from planners.releases.config import MetricSpec
from planners.releases.experiment import Experiment, ExperimentConfig

BLOCK = 10
"""Scores that are compared at once: the test learns the losses' spread within a block, so that a level which
both models share, a restless hour say, cancels."""


def _key(description: str, **bounds: Any) -> msgspec.Meta:
    return msgspec.Meta(description=description, **bounds)


class ContestConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which model has the word, and which one may get it.

    Without a verdict after `most_days`, or when the two are the same within `margin`, the champion stays
    and the contest begins anew.
    """

    champion: Annotated[str, _key("the model whose forecasts are published", min_length=1)] = "ensemble"
    challenger: Annotated[str, _key("the model that is tried beside it", min_length=1)]
    error: Annotated[float, _key("chance that a contest ends in a model that is no better", gt=0, lt=1)] = (
        0.05
    )
    margin: Annotated[float, _key("relative difference of losses that does not matter", gt=0)] = 0.02
    least: Annotated[int, _key("scores before a verdict", ge=1)] = 200
    most_days: Annotated[float, _key("days after which a contest ends without a verdict", gt=0)] = 14.0

    def __post_init__(self) -> None:
        if self.champion == self.challenger:
            raise ValueError(f"champion and challenger are both {self.champion}; name two models")


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """The word went to `champion` at `ts` (Unix ms); "rolled-back": it had it before."""

    ts: int
    champion: str
    before: str
    how: Literal["promoted", "rolled-back"]
    reason: str


class Contest(msgspec.Struct):
    """The running contest; plain data."""

    config: ContestConfig
    champion: str
    challenger: str
    experiment: Experiment
    scores: int = 0
    block: list[tuple[float, float]] = []

    @classmethod
    def begin(cls, config: ContestConfig, ts: int) -> "Contest":
        """A contest that starts at `ts` (Unix ms), with the configured champion."""
        experiment = _experiment(config, config.champion, config.challenger, ts)
        return cls(config, config.champion, config.challenger, experiment)

    def observe(self, ts: int, champion: float, challenger: float) -> Turn | None:
        """Take both models' losses at `ts`; returns the turn where the word goes to the challenger."""
        self.block.append((champion, challenger))
        self.scores += 1
        if len(self.block) < BLOCK:
            return None
        block, self.block = self.block, []
        self.experiment.observe_values(ts, self.champion, "loss", [loss for loss, _ in block])
        self.experiment.observe_values(ts, self.challenger, "loss", [loss for _, loss in block])
        self.experiment.close_step()
        if self.scores < self.config.least:
            return None
        report = self.experiment.report()
        if report.state == "running":
            return None
        if report.state != "winner":  # the same, worse, or no verdict in time: once more from the beginning
            self._again(ts)
            return None
        self.champion, self.challenger = self.challenger, self.champion
        how: Literal["promoted", "rolled-back"] = (
            "rolled-back" if self.champion == self.config.champion else "promoted"
        )
        turn = Turn(ts=ts, champion=self.champion, before=self.challenger, how=how, reason=report.reason)
        self._again(ts)
        return turn

    def _again(self, ts: int) -> None:
        self.block = []
        self.experiment, self.scores = _experiment(self.config, self.champion, self.challenger, ts), 0


def _experiment(config: ContestConfig, champion: str, challenger: str, ts: int) -> Experiment:
    loss = MetricSpec(name="loss", kind="mean", harm="up", tolerance=0.0, margin=config.margin)
    described = ExperimentConfig(
        name="champion and challenger",
        variants={champion: 50.0, challenger: 50.0},
        metrics=(loss,),
        error=config.error,
        most_ms=int(config.most_days * 86_400_000),
    )
    return Experiment.begin(described, ts)
