"""What a target is scaled on: its loads, its fleet, its backlog, how busy it is. The largest need wins."""

from typing import NamedTuple

import msgspec

from detectors.forecasting import Known
from planners.scaling import Decision, largest
from streams.config import TargetConfig
from streams.load import LoadSum, Tick
from streams.scaling import TargetForecast, TargetScaler
from streams.targets import BACKLOG, LOAD, REPLICAS, SATURATION

FRESH_MS = 300_000
"""A sample, or another load's decision, that is older says nothing about now."""


class LoadsState(msgspec.Struct, kw_only=True):
    """Everything remembered of what a target is scaled on, as plain data by role. Times are Unix ms.

    `newest` has the newest sample (time, value) of each series of backlog and saturation.
    """

    sums: dict[str, LoadSum] = {}
    scalers: dict[str, bytes] = {}
    decisions: dict[str, Decision] = {}
    newest: dict[str, dict[str, tuple[int, float]]] = {}
    replicas: int | None = None  # desired on the platform, as far as known
    own: int | None = None  # decided last, where decisions are not carried out


class Made(NamedTuple):
    """What a load's interval (at `ts`, Unix ms) led to; forecasts are told of the first load only."""

    ts: int
    role: str
    load: float
    forecast: TargetForecast | None
    decision: Decision | None


class TargetLoads:
    """The scalers of one target, one per load."""

    def __init__(self, config: TargetConfig, state: LoadsState, key: bytes | None = None) -> None:
        self.state = state
        self._key = key
        self._apart = config.mode != "act"
        self._scalers = {}
        for role, scale in config.scales().items():
            state.sums.setdefault(role, LoadSum(interval_ms=int(config.interval_s * 1000)))
            stored = state.scalers.get(role)
            self._scalers[role] = (
                TargetScaler.from_bytes(scale, stored, key) if stored else TargetScaler(scale)
            )

    def dump(self) -> LoadsState:
        """The state, with that of the models."""
        self.state.scalers = {role: scaler.to_bytes(self._key) for role, scaler in self._scalers.items()}
        return self.state

    def expect(self, event: Known) -> None:
        """Take a known event into account."""
        for scaler in self._scalers.values():
            scaler.expect(event)

    @property
    def first(self) -> TargetScaler | None:
        """The scaler of the first load; None without one."""
        return self._scalers.get(LOAD)

    @property
    def capacity(self) -> float | None:
        """Of the first load, what one replica serves; None while it is not known."""
        return self._scalers[LOAD].capacity if LOAD in self._scalers else None

    def take(self, role: str, series: str, ts: int, value: float) -> list[Made]:
        """Use one sample; what the intervals that it completes lead to, oldest first."""
        if role == REPLICAS:
            self.state.replicas = max(0, round(value))
        elif role in (BACKLOG, SATURATION):
            self.state.newest.setdefault(role, {})[series] = (ts, value)
        elif role in self._scalers:
            return [self._decide(role, tick) for tick in self.state.sums[role].add(series, ts, value)]
        return []

    def _decide(self, role: str, tick: Tick) -> Made:
        backlog, busy = self._fresh(BACKLOG, tick.ts), self._fresh(SATURATION, tick.ts)
        forecast, decision = self._scalers[role].observe(
            tick.ts,
            tick.load,
            self.state.replicas,
            # The backlog is that of what the target is named to work off: its first load.
            backlog=sum(backlog) if role == LOAD else 0.0,
            saturation=sum(busy) / len(busy) if busy else None,
            own=self.state.own,
        )
        if decision is not None:
            decision = self._largest(role, decision)
            self.state.own = decision.replicas if self._apart else None
        return Made(tick.ts, role, tick.load, forecast if role == LOAD else None, decision)

    def _largest(self, role: str, decision: Decision) -> Decision:
        if len(self._scalers) == 1:
            return decision
        self.state.decisions[role] = decision
        recent = {
            known: each for known, each in self.state.decisions.items() if each.ts > decision.ts - FRESH_MS
        }
        chosen = largest(recent)
        changed = chosen.replicas != decision.previous
        return msgspec.structs.replace(chosen, ts=decision.ts, previous=decision.previous, changed=changed)

    def _fresh(self, role: str, ts: int) -> list[float]:
        samples = self.state.newest.get(role, {})
        fresh = {series: sample for series, sample in samples.items() if sample[0] > ts - FRESH_MS}
        if samples:
            self.state.newest[role] = fresh
        return [value for _, value in fresh.values()]
