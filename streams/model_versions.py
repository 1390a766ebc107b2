"""The versions of the models that forecast a target: which one has the word, and the registry of them."""

import hashlib
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec
import numpy as np

from planners.releases.contest import Contest, ContestConfig, Turn
from schemas import ModelVersion
from schemas.model_version import Standing
from streams.model_scores import ModelScores
from streams.output import Output, output
from streams.scaling import TargetScaler

REPORT_MS = 3_600_000  # how often the figures of versions are told, in event time


class MirrorError(RuntimeError):
    """MLflow does not take what it is told; the text says what it answered."""


class ModelState(msgspec.Struct, kw_only=True):
    """Everything remembered of a target's model versions, as plain data."""

    contest: Contest
    scores: ModelScores = msgspec.field(default_factory=ModelScores)
    data_from: int
    told: int = -1
    last: int | None = None


class ModelVersions:
    """Scores champion and challenger on each load, and lets the better one publish."""

    def __init__(self, target: str, config: ContestConfig, state: ModelState | None = None) -> None:
        self._target = target
        self._config = config
        if state is not None and state.contest.config != config:
            state = None  # other models, or another bar: what was learnt of the old ones says nothing
        self.state = state

    @property
    def champion(self) -> str:
        """The model whose forecasts are to be published."""
        return self.state.contest.champion if self.state is not None else self._config.champion

    def observe(self, ts: int, load: float, scaler: TargetScaler) -> list[Output]:
        """Score what was forecast for `ts`, note what is forecast now; returns versions to tell of."""
        if not np.isfinite(load):
            return []
        if self.state is None:
            self.state = ModelState(contest=Contest.begin(self._config, ts), data_from=ts)
        state, config = self.state, scaler.config
        cadence = ts - state.last if state.last is not None else 0
        state.last = ts
        losses = state.scores.score(ts, load, config.levels, state.contest.champion, cadence)
        turn: Turn | None = None
        if losses is not None:
            contest = state.contest
            if contest.champion in losses and contest.challenger in losses:
                turn = contest.observe(ts, losses[contest.champion], losses[contest.challenger])
        horizon = round(config.horizons_s[0] * 1000)
        quantiles = {
            name: scaler.quantiles(name, horizon) for name in (self._config.champion, self._config.challenger)
        }
        state.scores.note(ts + horizon, {name: each for name, each in quantiles.items() if each is not None})
        if turn is None and ts - state.told < REPORT_MS and state.told >= 0:
            return []
        state.told = ts
        why = f"{turn.how}: {turn.reason}" if turn is not None else ""
        return [
            self._version(ts, state.contest.champion, "champion", scaler, why),
            self._version(ts, state.contest.challenger, "challenger", scaler, why),
        ]

    def _version(self, ts: int, model: str, standing: Standing, scaler: TargetScaler, reason: str) -> Output:
        assert self.state is not None  # noqa: S101
        parameters = scaler.parameters(model)
        name = version_of(model, parameters)
        message = ModelVersion(
            id=f"{self._target}:{name}",
            target=self._target,
            model=model,
            version=name,
            code=code_version(),
            parameters=parameters,
            standing=standing,
            data_from=self.state.data_from,
            ts=ts,
            metrics=self.state.scores.metrics(),
            reason=reason,
        )
        return output("models", message.id, message)


def code_version() -> str:
    """The version of Tidegate that runs."""
    try:
        return version("tidegate")
    except PackageNotFoundError:
        return "unknown"


def version_of(model: str, parameters: dict[str, Any]) -> str:
    """A short name that equal models, parameters and code share."""
    text: Sequence[bytes] = (
        model.encode(),
        msgspec.json.encode(parameters, order="deterministic"),
        code_version().encode(),
    )
    return f"{model}-{hashlib.sha256(b'|'.join(text)).hexdigest()[:10]}"
