"""Online forecasters: native seasonal and peak models, and any of River's by name."""

from detectors.forecasting.known import Known, factor_at, highest_factor, with_event
from detectors.forecasting.load import LoadForecaster
from detectors.forecasting.peak import PeakForecaster, Peaks
from detectors.forecasting.port import ForecastBank, ForecasterStateError, UnknownForecasterError
from detectors.forecasting.registry import known_forecasters, make_forecaster
from detectors.forecasting.seasonal import SeasonalForecaster

__all__ = [
    "ForecastBank",
    "ForecasterStateError",
    "Known",
    "LoadForecaster",
    "PeakForecaster",
    "Peaks",
    "SeasonalForecaster",
    "UnknownForecasterError",
    "factor_at",
    "highest_factor",
    "known_forecasters",
    "make_forecaster",
    "with_event",
]
