"""Online forecasters: native seasonal and peak models, and any of River's by name."""

from detectors.forecasting.load import LoadForecaster
from detectors.forecasting.peak import PeakForecaster, Peaks
from detectors.forecasting.port import ForecastBank, ForecasterStateError, UnknownForecasterError
from detectors.forecasting.registry import known_forecasters, make_forecaster
from detectors.forecasting.seasonal import SeasonalForecaster

__all__ = [
    "ForecastBank",
    "ForecasterStateError",
    "LoadForecaster",
    "PeakForecaster",
    "Peaks",
    "SeasonalForecaster",
    "UnknownForecasterError",
    "known_forecasters",
    "make_forecaster",
]
