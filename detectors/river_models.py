"""River's detectors by dotted name, and the calibration of what they score."""

import copy
import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from river import stats
from river.base import AnomalyDetector, AnomalyFilter, DriftDetector, SupervisedAnomalyDetector

from detectors.port import UnknownDetectorError

PREFIXES = ("river.anomaly.", "river.drift.")
WARM = 50
DAY_MS = 86_400_000
LARGEST_SHARE = 0.05


@dataclass(slots=True)
class Judged:
    """An anomaly detector and the quantiles of its own scores.

    It alarms when its score passes the running quantile (P2, Jain and Chlamtac 1985) of its own scores
    that the asked alarm rate stands for.
    """

    model: Any
    quantiles: tuple[stats.Quantile, stats.Quantile] | None = None
    count: int = 0
    first_score: float | None = None

    def strength(
        self, features: Mapping[str, float], target: float | None, *, rate_per_ms: float, gap_ms: float
    ) -> float:
        """Score one sample and learn it: 1 at the quantile of the asked rate, 0 at the median.

        `target` is what a supervised detector expects; samples are `gap_ms` apart.
        """
        self.count += 1
        supervised = (
            (target,) if target is not None and isinstance(self.model, SupervisedAnomalyDetector) else ()
        )
        score = float(self.model.score_one(features, *supervised))
        self.model.learn_one(features, *supervised)
        if not math.isfinite(score):
            score = 0.0  # some of River's models have no score before they have learnt enough
        strength = 0.0
        if self.quantiles is not None:
            middle, threshold = (quantile.get() or 0.0 for quantile in self.quantiles)
            if threshold > middle and score > middle:
                strength = (score - middle) / (threshold - middle)
        if self.first_score is None:
            self.first_score = score
        if score == self.first_score and self.quantiles is None:
            self.count = 1  # some models are silent until they have filled a window: not yet begun
        if self.count == WARM // 2:  # by now the cadence is known
            share = min(LARGEST_SHARE, rate_per_ms * max(gap_ms, 1.0))
            self.quantiles = (stats.Quantile(0.5), stats.Quantile(1.0 - share))
        if self.quantiles is not None:
            for quantile in self.quantiles:
                quantile.update(score)
        return strength

    @property
    def learning(self) -> bool:
        """Whether it is too early for a verdict."""
        return self.count <= WARM


def known_river_models() -> tuple[str, ...]:
    """Dotted names that `river_model` takes."""
    names = []
    for prefix in PREFIXES:
        module = importlib.import_module(prefix.rstrip("."))
        names += [f"{prefix}{name}" for name in module.__all__ if _usable(getattr(module, name, None))]
    return tuple(names)


def river_model(name: str, params: Mapping[str, object]) -> Callable[[], Any]:
    """What makes a fresh River model of that dotted name with `params`.

    A model that takes a `seed` gets 0 where none is given, so that a replay gives the same scores.

    Raises:
        UnknownDetectorError: River has no such detector, or it refuses the parameters.
    """
    if name not in known_river_models():
        raise UnknownDetectorError(f"unknown detector {name!r}: River has {', '.join(known_river_models())}")
    module, _, attribute = name.rpartition(".")
    kind = getattr(importlib.import_module(module), attribute)
    given = dict(params)
    if "seed" in inspect.signature(kind).parameters:
        given.setdefault("seed", 0)
    try:
        kind(**given)
    except Exception as error:
        raise UnknownDetectorError(f"{name} refuses its parameters: {error}") from error
    return lambda: kind(**copy.deepcopy(given))


def _usable(kind: object) -> bool:
    """Whether it can stand alone: filters wrap another detector."""
    kinds = (AnomalyDetector, SupervisedAnomalyDetector, DriftDetector)
    return inspect.isclass(kind) and issubclass(kind, kinds) and not issubclass(kind, AnomalyFilter)
