"""What happened at each row of a replayed load: ours, the rule of the HPA, and what both cost."""

import math
from collections import deque

import msgspec
import numpy as np
from numpy.typing import NDArray

from planners.cost import Account, Meter, Prices, advance, fleets, opened
from planners.cost.account import month_of
from streams.scale_config import ScaleConfig
from streams.scaling import TargetForecast

F64 = NDArray[np.float64]


class Course(msgspec.Struct, frozen=True, kw_only=True):
    """Columns over the rows, all of one length: `times` in s; loads and band in the load's unit.

    `lower` and `upper` are quantiles `band` of the forecast made about a start-up time before, NaN where
    there was none. `ours` and `hpa` are replicas paid, `ready` and `hpa_ready` those that serve; `short` and
    `hpa_short` tell rows with load that nobody served. Costs are summed up to the row. `totals` has the
    sums of each fleet.
    """

    times: F64
    load: F64
    lower: F64
    upper: F64
    ours: F64
    ready: F64
    hpa: F64
    hpa_ready: F64
    short: F64
    hpa_short: F64
    cost: F64
    hpa_cost: F64
    static_cost: F64
    capacity: float
    band: tuple[float, float]
    totals: dict[str, Meter]


class CourseRecorder:
    """Gathers a course row by row. `capacity` is the load one replica serves."""

    def __init__(self, config: ScaleConfig, capacity: float, prices: Prices) -> None:
        self._policy = config.policy(capacity)
        self._prices = prices
        self._band = (config.levels[0], config.levels[-1])
        self._horizon = min(
            range(len(config.horizons_s)), key=lambda i: abs(config.horizons_s[i] - config.startup_s)
        )
        self._coming: deque[tuple[int, float, float]] = deque()  # when, lower, upper
        self._account: Account | None = None
        self._rows: list[tuple[float, ...]] = []

    def see(self, ts: int, load: float, forecast: TargetForecast | None, replicas: int | None) -> None:
        """Take the row at `ts` (Unix ms): its forecast, and the replicas wanted from now on."""
        if replicas is None or not math.isfinite(load):
            return
        band = self._expected(ts)
        if forecast is not None:
            low, *_, high = forecast.values[self._horizon]
            self._coming.append((ts + forecast.horizons_ms[self._horizon], low, high))
        before = self._account
        if before is None:
            self._account = opened(self._policy, ts, max(load, 0.0), replicas, apart=False)
            return
        # A month's end must not empty the meters of a preview: it is one stretch of time.
        now = advance(
            msgspec.structs.replace(before, month_ms=month_of(ts)),
            self._policy, self._prices, ts=ts, load=load, actual=replicas, decided=replicas,
        )  # fmt: skip
        if now.ts == before.ts:
            return
        self._account = now
        self._rows.append(
            (
                ts / 1_000.0,
                load,
                *band,
                before.fleet.wanted,
                now.fleet.running,
                now.shadow.wanted,
                now.shadow.running,
                float(now.actual.breach_s > before.actual.breach_s),
                float(now.reactive.breach_s > before.reactive.breach_s),
                now.actual.spend,
                now.reactive.spend,
                now.seconds / 3_600.0,
            )
        )

    def _expected(self, ts: int) -> tuple[float, float]:
        while len(self._coming) > 1 and self._coming[1][0] <= ts:
            self._coming.popleft()
        if not self._coming or self._coming[0][0] > ts:
            return math.nan, math.nan
        return self._coming[0][1], self._coming[0][2]

    def course(self) -> Course | None:
        """What was gathered; None where that is less than two rows."""
        if self._account is None or not self._rows:
            return None
        columns = np.array(self._rows, dtype=np.float64).T
        totals = fleets(self._account, self._policy, self._prices)
        hours = columns[12]
        rate = totals["static"].spend / hours[-1] if hours[-1] > 0.0 else 0.0
        return Course(
            times=columns[0], load=columns[1], lower=columns[2], upper=columns[3], ours=columns[4],
            ready=columns[5], hpa=columns[6], hpa_ready=columns[7], short=columns[8],
            hpa_short=columns[9], cost=columns[10], hpa_cost=columns[11], static_cost=rate * hours,
            capacity=self._policy.capacity, band=self._band, totals=totals,
        )  # fmt: skip
