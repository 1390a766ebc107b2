"""From a target's newest forecast and command to the numbers that autoscalers ask for."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from schemas import Command, Forecast, Scale
from streams.config import TargetConfig

Metric = Literal["replicas", "load"]
METRICS: tuple[Metric, ...] = ("replicas", "load")


class AskError(Exception):
    """The question cannot be answered, ever: the text says what to mend."""


class UnknownError(AskError):
    """There is no such target or metric."""


class StaleError(Exception):
    """There is no number that may be trusted now. Never a zero in its place: that would scale to nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked of a target: `quantile` of the load within `horizon_s`, or the replicas."""

    target: TargetConfig
    metric: Metric
    quantile: float
    horizon_s: float


@dataclass(slots=True)
class Known:
    """The newest of a target, and when it was heard (Unix ms)."""

    forecast: Forecast | None = None
    command: Command | None = None
    heard: int = 0


def make_ask(
    targets: dict[str, TargetConfig],
    target: str | None,
    *,
    metric: str,
    quantile: str | None,
    horizon_s: str | None,
    default_quantile: float,
) -> Ask:
    """The question that these texts put.

    Raises:
        UnknownError: no such target or metric.
        AskError: a number is none, or out of its range.
    """
    if target is None or target not in targets:
        known = ", ".join(sorted(targets)) or "none"
        raise UnknownError(f"no target {target!r} is configured here; known: {known}")
    if metric not in METRICS:
        raise UnknownError(f"no metric {metric!r}; known: {', '.join(METRICS)}")
    config = targets[target]
    startup = config.scale.startup_s if config.scale is not None else 0.0
    q = _number("quantile", quantile, default_quantile)
    if not 0 < q < 1:
        raise AskError(f"quantile {q:g} is not between 0 and 1")
    horizon = _number("horizon", horizon_s, startup)
    if not 0 <= horizon < math.inf:
        raise AskError(f"horizon {horizon:g} is no number of seconds")
    known_metric: Metric = "replicas" if metric == "replicas" else "load"
    return Ask(target=config, metric=known_metric, quantile=q, horizon_s=horizon)


def _number(name: str, text: str | None, default: float) -> float:
    try:
        return default if text is None or not text else float(text)
    except ValueError as error:
        raise AskError(f"{name} {text!r} is not a number") from error


def answer(ask: Ask, known: Known | None, now_ms: int, stale_s: float) -> float:
    """The number asked for.

    Raises:
        StaleError: nothing was heard of the target within `stale_s`, or not what is asked for.
        AskError: it takes a capacity, and none is configured.
    """
    name = ask.target.name
    if known is None or known.heard == 0:
        raise StaleError(f"nothing has been heard of {name} yet")
    if now_ms - known.heard > stale_s * 1000:
        raise StaleError(f"nothing has been heard of {name} for {(now_ms - known.heard) / 1000:.0f} s")
    if ask.metric == "replicas" and known.command is not None:
        assert isinstance(known.command.action, Scale)  # noqa: S101 - others are not kept
        return float(known.command.action.replicas)
    if known.forecast is None:
        raise StaleError(f"there is no forecast of {name}")
    load = expected(known.forecast, ask.quantile, ask.horizon_s)
    if ask.metric == "load":
        return load
    scale = ask.target.scale
    replicas = math.ceil(load / capacity(ask.target))  # the planner has found nothing to change yet
    return float(min(max(replicas, scale.min), scale.max)) if scale else float(replicas)


def capacity(target: TargetConfig) -> float:
    """The load that one replica serves.

    Raises:
        AskError: it is not configured.
    """
    if target.scale is None or target.scale.capacity is None:
        raise AskError(f"targets.{target.name}.scale.capacity is absent: say what one replica serves")
    return target.scale.capacity


def expected(forecast: Forecast, quantile: float, horizon_s: float) -> float:
    """The highest load to expect until `horizon_s` ahead, at `quantile`; linear between the told ones.

    Where it reaches beyond what was told, the nearest counts.
    """
    values = np.asarray(forecast.values, dtype=np.float64)
    if values.size == 0:
        return forecast.observed
    ahead = [float(np.interp(quantile, forecast.levels, row)) for row in values]
    horizons = [ms / 1000 for ms in forecast.horizons_ms]
    within = [value for seconds, value in zip(horizons, ahead, strict=True) if seconds <= horizon_s]
    at_end = float(np.interp(horizon_s, [0.0, *horizons], [forecast.observed, *ahead]))
    return max([at_end, *within, 0.0])
