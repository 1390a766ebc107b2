"""Online forecasters: native seasonal and peak models, and any of River's by name."""

from detectors.forecasting.peak import PeakForecaster

__all__ = ["PeakForecaster"]
