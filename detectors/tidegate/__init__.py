"""Tidegate's own detector: calibrated deviations, records and unseen patterns, in one compiled pass."""

from detectors.tidegate.bank import tidegate_bank

__all__ = ["tidegate_bank"]
