"""The rule of the Kubernetes Vertical Pod Autoscaler: the baseline."""

import numpy as np

from planners.rightsizing.histogram import DecayingHistograms
from planners.rightsizing.values import Request

HALF_LIFE_S = 86_400.0
LEVEL = 0.9
MARGIN = 1.15

_ROW = np.zeros(1, dtype=np.int64)


class VpaSizer:
    """The 0.9 quantile of a histogram with a half-life of 24 h, times 1.15, at each sample.

    The recommender's target with its default flags (kubernetes/autoscaler, `recommender/logic`); its bounds
    are the quantiles 0.5 and 0.95 times the same margin. The floor of 25 milli-cores is left out: it says
    more about clusters than about the rule. After a container ran out of memory the request is at least a
    fifth, and `oom_least`, above what it used.
    """

    def __init__(self, *, oom_least: float = 0.0, interval_s: float = 0.0) -> None:
        self._histogram = DecayingHistograms((HALF_LIFE_S,))
        self._oom_least = oom_least
        self._interval = interval_s
        self._request: Request | None = None

    @property
    def request(self) -> Request | None:
        """The request in force; None before the first sample."""
        return self._request

    def observe(self, ts: float, usage: float, duration_s: float) -> Request:
        """Learn the usage that was held for `duration_s` up to `ts` (Unix s)."""
        self._histogram.add(_ROW, ts, usage, duration_s)
        if self._request is None or ts - self._request.ts >= self._interval:
            low, value, high = MARGIN * self._histogram.quantiles((0, 0, 0), (0.5, LEVEL, 0.95))
            self._request = Request(
                ts=ts, value=float(value), lower=float(low), upper=float(high), reason="p90 times 1.15"
            )
        return self._request

    def out_of_memory(self, ts: float, usage: float) -> Request:
        """The container was killed at `ts` for using `usage`: count what it would have needed."""
        self._histogram.add(_ROW, ts, max(1.2 * usage, usage + self._oom_least), HALF_LIFE_S)
        self._request = None
        return self.observe(ts, usage, 0.0)
