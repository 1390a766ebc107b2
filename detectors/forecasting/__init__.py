"""Online forecasters: native seasonal and peak models, and any of River's by name."""

from detectors.forecasting.peak import PeakForecaster, Peaks
from detectors.forecasting.port import ForecastBank, ForecasterStateError, UnknownForecasterError

__all__ = ["ForecastBank", "ForecasterStateError", "PeakForecaster", "Peaks", "UnknownForecasterError"]
