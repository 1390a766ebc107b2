"""Forecasters by name, as the configuration asks for them."""

import copy
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from detectors.forecasting.port import UnknownForecasterError
from detectors.forecasting.seasonal import MODELS

if TYPE_CHECKING:
    from river.time_series.base import Forecaster

PREFIX = "river.time_series."

# River's time series package takes seconds to import: functions here import it when a model is asked for.


def _native() -> Mapping[str, Callable[..., "Forecaster"]]:
    from detectors.forecasting.river_face import Seasonal  # noqa: PLC0415

    def member(model: str) -> Callable[..., "Forecaster"]:
        def build(cadence_s: float = 60.0, level: float = 0.5) -> "Forecaster":
            return Seasonal(cadence_s=cadence_s, model=model, level=level)

        return build

    return {"seasonal": Seasonal, **{model: member(model) for model in MODELS}}


def _river() -> Mapping[str, Callable[..., "Forecaster"]]:
    from river import time_series  # noqa: PLC0415
    from river.time_series.base import Forecaster  # noqa: PLC0415

    kinds = ((name, getattr(time_series, name)) for name in time_series.__all__)
    return {
        PREFIX + name: kind
        for name, kind in kinds
        if inspect.isclass(kind) and issubclass(kind, Forecaster) and not inspect.isabstract(kind)
    }


def known_forecasters() -> tuple[str, ...]:
    """Names that `make_forecaster` takes."""
    return (*_native(), *_river())


def make_forecaster(model: str, params: Mapping[str, object] | None = None) -> "Forecaster":
    """A fresh forecaster: a native one, or one of River's by its dotted name.

    `params` are the model's own keyword parameters, e.g. `{"alpha": 0.3}` for
    "river.time_series.HoltWinters".

    Raises:
        UnknownForecasterError: no such model or parameter, or it refuses the values; the text lists
            what is known.
    """
    builders = {**_native(), **_river()}
    if model not in builders:
        raise UnknownForecasterError(f"unknown forecaster {model!r}: known are {', '.join(builders)}")
    build = builders[model]
    given = copy.deepcopy(dict(params or {}))
    accepted = inspect.signature(build).parameters
    if unknown := sorted(set(given) - set(accepted)):
        raise UnknownForecasterError(
            f"{model} has no parameter {unknown[0]!r}: it takes {', '.join(accepted)}"
        )
    try:
        made = build(**given)
    except (TypeError, ValueError, AttributeError) as error:
        raise UnknownForecasterError(f"{model} refuses its parameters: {error}") from error
    return made
