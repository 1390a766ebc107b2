"""The many-series face of Tidegate's detector."""

import numpy as np

from detectors.columnar import ColumnarBank
from detectors.tidegate.kernel import update
from detectors.tidegate.layout import EVIDENCE, LAYOUT

VERSION = 2


def tidegate_bank(*, alarms_per_series_day: float) -> ColumnarBank:
    """A bank of Tidegate's default detector; it has no parameter besides the asked alarm rate.

    >>> bank = tidegate_bank(alarms_per_series_day=1 / 7)
    >>> bank.grow(1)
    >>> values = np.r_[np.arange(199.0) % 7, 60.0]
    >>> bank.update(np.zeros(200, np.int64), np.arange(200) * 60_000, values).alarm.nonzero()[0].tolist()
    [199]
    """
    settings = np.array([alarms_per_series_day])
    return ColumnarBank(
        "tidegate", VERSION, evidence=EVIDENCE, layout=LAYOUT, kernel=update, settings=settings
    )
