"""Forecasters by name, as the configuration asks for them."""

import copy
import inspect
from collections.abc import Callable, Mapping

from river import time_series
from river.time_series.base import Forecaster

from detectors.forecasting.port import UnknownForecasterError
from detectors.forecasting.river_face import Seasonal
from detectors.forecasting.seasonal import MODELS

PREFIX = "river.time_series."


def _member(model: str) -> Callable[..., Forecaster]:
    def build(cadence_s: float = 60.0, level: float = 0.5) -> Forecaster:
        return Seasonal(cadence_s=cadence_s, model=model, level=level)

    return build


_NATIVE: Mapping[str, Callable[..., Forecaster]] = {
    "seasonal": Seasonal,
    **{model: _member(model) for model in MODELS},
}


def known_forecasters() -> tuple[str, ...]:
    """Names that `make_forecaster` takes."""
    river = [name for name in time_series.__all__ if _is_forecaster(getattr(time_series, name))]
    return (*_NATIVE, *(PREFIX + name for name in river))


def make_forecaster(model: str, params: Mapping[str, object] | None = None) -> Forecaster:
    """A fresh forecaster: a native one, or one of River's by its dotted name.

    `params` are the model's own keyword parameters, e.g. `{"alpha": 0.3}` for
    "river.time_series.HoltWinters".

    Raises:
        UnknownForecasterError: no such model or parameter, or it refuses the values; the text lists
            what is known.
    """
    if model not in known_forecasters():
        raise UnknownForecasterError(
            f"unknown forecaster {model!r}: known are {', '.join(known_forecasters())}"
        )
    build = _NATIVE.get(model) or getattr(time_series, model.removeprefix(PREFIX))
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
    assert isinstance(made, Forecaster)  # noqa: S101
    return made


def _is_forecaster(kind: object) -> bool:
    return inspect.isclass(kind) and issubclass(kind, Forecaster) and not inspect.isabstract(kind)
