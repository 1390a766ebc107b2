"""Which of a forecast's horizons stands for it where only one is shown."""

from collections.abc import Sequence

NEAR_MS = 600_000


def near(horizons_ms: Sequence[int]) -> int | None:
    """Index of the furthest horizon of at most ten minutes, else of the nearest one; None without any.

    Ten minutes is what scaling can still use: further ahead, a forecast is a plan, not a warning.

    >>> near([60_000, 180_000, 600_000, 3_600_000])
    2
    >>> near([3_600_000, 86_400_000])
    0
    """
    within = [i for i, horizon in enumerate(horizons_ms) if horizon <= NEAR_MS]
    if within:
        return max(within, key=lambda i: horizons_ms[i])
    return min(range(len(horizons_ms)), key=lambda i: horizons_ms[i], default=None)
