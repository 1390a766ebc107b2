"""How well requests fitted the usage: slack and shortage."""

from collections.abc import Sequence

import msgspec
import numpy as np


class Fit(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over time, in the usage's unit times hours.

    `slack` was requested and not used, `shortage` used and not requested, `used` used in all. `changes`
    counts changes of the request, `hours` the time.
    """

    slack: float = 0.0
    shortage: float = 0.0
    used: float = 0.0
    changes: int = 0
    hours: float = 0.0

    def plus(self, other: "Fit") -> "Fit":
        """Both together."""
        return Fit(
            slack=self.slack + other.slack,
            shortage=self.shortage + other.shortage,
            used=self.used + other.used,
            changes=self.changes + other.changes,
            hours=self.hours + other.hours,
        )


def fit(usage: Sequence[float], requests: Sequence[float], durations_s: Sequence[float]) -> Fit:
    """Compare what was used for `durations_s` each with the requests then in force; arrays of one length."""
    used, asked = np.asarray(usage, dtype=np.float64), np.asarray(requests, dtype=np.float64)
    hours = np.asarray(durations_s, dtype=np.float64) / 3_600.0
    return Fit(
        slack=float(np.maximum(asked - used, 0.0) @ hours),
        shortage=float(np.maximum(used - asked, 0.0) @ hours),
        used=float(used @ hours),
        changes=int(np.count_nonzero(np.diff(asked))),
        hours=float(hours.sum()),
    )
