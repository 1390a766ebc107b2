"""Scales on one load: its forecaster, its planner, and the state of both."""

import math
from typing import Any

import msgspec
import numpy as np

from detectors.forecasting import (
    Known,
    LoadForecaster,
    PeakForecaster,
    factor_at,
    highest_factor,
    with_event,
)
from detectors.forecasting.seasonal import ENSEMBLE
from planners.scaling import (
    CapacityState,
    Decision,
    LoadForecast,
    Observation,
    ScaleState,
    learn_capacity,
    learnt_capacity,
    make_planner,
)
from schemas import Forecast
from streams.scale_config import Member, ScaleConfig

__all__ = ["Member", "ScaleConfig", "ScalerStateError", "TargetForecast", "TargetScaler"]

LAYOUT = 3
PEAK_LEVELS = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
EVENT_MEMORY_MS = 2 * 86_400_000
STEADY = 0.02  # a learnt capacity that moves by less stays as it is, so that counts do not flicker

_ROW = np.zeros(1, dtype=np.int64)


class TargetForecast(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of a target's load ahead: `values[h][q]` at `ts + horizons_ms[h]`, level `levels[q]`."""

    ts: int
    observed: float
    horizons_ms: tuple[int, ...]
    levels: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]
    model: str
    skill: float | None

    def message(self, target: str) -> Forecast:
        """The forecast as it travels; its id is the target and the time, so a replay gives the same."""
        return Forecast(
            id=f"{target}:forecast:{self.ts}",
            target=target,
            ts=self.ts,
            observed=self.observed,
            horizons_ms=list(self.horizons_ms),
            levels=list(self.levels),
            values=[list(row) for row in self.values],
            model=self.model,
            skill=self.skill,
        )


class _Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What a scaler remembers beside its models. Times are Unix ms.

    `fleet` is the count last known and since when, `capacity` what one replica has been learnt to serve.
    """

    state: ScaleState = ScaleState()
    highest: float = 0.0
    last_ms: int | None = None
    fleet: tuple[int, int] | None = None
    saturation: CapacityState = CapacityState()
    capacity: float | None = None
    known: tuple[Known, ...] = ()


class _Layout(msgspec.Struct, frozen=True):
    layout: int


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    layout: int
    startup_ms: int
    peak: bytes
    load: bytes
    memory: _Memory


class ScalerStateError(ValueError):
    """Stored bytes are not a scaler's state of this version; the target has to learn anew."""


class TargetScaler:
    """Forecasts one load and decides on the replicas it needs, sample by sample."""

    def __init__(self, config: ScaleConfig) -> None:
        self.config = config
        self._plan = make_planner(config.planner)
        self._peak = PeakForecaster(startup_ms=round(config.startup_s * 1000.0))
        self._peak.grow(1)
        self._load = LoadForecaster(
            {name: (member.model, member.params) for name, member in config.members.items()}
        )
        self._horizons_ms = tuple(round(horizon * 1000.0) for horizon in config.horizons_s)
        self.champion = ENSEMBLE  # the model whose forecasts are published
        self._memory = _Memory()
        self._policy = config.policy(self.capacity or 1.0)
        self._time = np.zeros(1, dtype=np.int64)
        self._value = np.zeros(1)

    @property
    def capacity(self) -> float | None:
        """The load one replica serves: given, else learnt, else assumed; None while it is not known."""
        if self.config.capacity is not None:
            return self.config.capacity
        if self._memory.capacity is not None:
            return self._memory.capacity
        highest = self._memory.highest
        return highest / self.config.peak_replicas if highest > 0.0 else None

    def expect(self, event: Known) -> None:
        """Take a known event into account, in place of an earlier one of its id."""
        memory, now = self._memory, self._memory.last_ms or event.starts_at
        self._remember(known=with_event(memory.known, event, now, EVENT_MEMORY_MS))

    def observe(
        self,
        ts_ms: int,
        load: float,
        replicas: int | None = None,
        backlog: float = 0.0,
        saturation: float | None = None,
        own: int | None = None,
    ) -> tuple[TargetForecast | None, Decision | None]:
        """Learn the load at `ts_ms` (Unix ms) and decide; `replicas` is the desired count, None if unknown;
        `backlog` what waits in a consumer's queue; `saturation` how busy a replica is on average. Where
        decisions are not carried out, `own` is the count decided last, which the next one starts from.

        A time at or before the last one gives (None, None). A load that is not a number is a missing
        sample: nothing is learnt, and the planner keeps to what it knows.
        """
        last_ms = self._memory.last_ms
        if last_ms is not None and ts_ms <= last_ms:
            return None, None
        ts_ms, load, backlog = int(ts_ms), float(load), float(backlog)  # NumPy's scalars cannot be stored
        replicas = None if replicas is None else int(replicas)
        self._learn(ts_ms, load)
        self._follow_fleet(ts_ms, load, replicas, saturation)
        if self.capacity is None:
            return None, None  # no load yet: nothing tells what a replica can do
        if self.capacity != self._policy.capacity:
            self._policy = self.config.policy(self.capacity)
        known = math.isfinite(load)
        forecast = self._forecast(ts_ms) if known else None
        before = replicas if own is None else own
        observation = Observation(ts=ts_ms, load=load, replicas=before, backlog=backlog)
        decision, state = self._plan(self._policy, self._memory.state, observation, forecast)
        self._remember(state=state)
        return self._published(ts_ms, load) if known else None, decision

    def _remember(self, **changes: object) -> None:
        self._memory = msgspec.structs.replace(self._memory, **changes)

    def _learn(self, ts_ms: int, load: float) -> None:
        """Learn a load as it would be without known events, so that these do not pass for the usual."""
        usual = load / factor_at(self._memory.known, ts_ms)
        self._time[0], self._value[0] = ts_ms, usual
        self._peak.update(_ROW, self._time, self._value)
        self._load.observe(ts_ms, usual)
        highest = max(self._memory.highest, load) if math.isfinite(load) else self._memory.highest
        self._remember(last_ms=ts_ms, highest=highest)

    def _follow_fleet(self, ts_ms: int, load: float, replicas: int | None, saturation: float | None) -> None:
        """Learn the capacity from a load that the whole fleet, none of it still starting, has served."""
        fleet = self._memory.fleet
        if replicas is None or fleet is None or replicas != fleet[0]:
            self._remember(fleet=None if replicas is None else (replicas, ts_ms))
            return
        steady = ts_ms - fleet[1] > self.config.startup_s * 1000.0
        if saturation is None or replicas < 1 or not steady:
            return
        config, memory = self.config, self._memory
        seen = learn_capacity(memory.saturation, load / replicas, saturation, config.saturation_kind)
        found = learnt_capacity(seen, config.saturation_limit, config.saturation_kind)
        capacity = memory.capacity
        if found is not None and (capacity is None or abs(found / capacity - 1.0) > STEADY):
            capacity = found
        self._remember(saturation=seen, capacity=capacity)

    def _forecast(self, ts_ms: int) -> LoadForecast | None:
        peaks, ahead = self._peak.forecast(_ROW, PEAK_LEVELS)
        if math.isnan(peaks[0, 0]):
            return None
        known = self._memory.known
        if known:
            # A sample more than the window on either side: better a minute early than late.
            served = ts_ms + self._peak.startup_ms
            last = served + 2.0 * self._peak.cadence_ms(0)
            peaks, ahead = (
                peaks * highest_factor(known, ts_ms, last),
                ahead * highest_factor(known, served, last),
            )
        return LoadForecast(
            ts=ts_ms,
            levels=PEAK_LEVELS,
            peaks=tuple(peaks[0].tolist()),
            ahead=tuple(ahead[0].tolist()),
            skill=self._peak.skill(0),
            model="peak",
        )

    def _published(self, ts_ms: int, load: float) -> TargetForecast | None:
        values = self._load.forecast(self._horizons_ms, self.config.levels, model=self.champion)
        if math.isnan(values[0, 0]):
            return None
        factors = [factor_at(self._memory.known, ts_ms + ahead) for ahead in self._horizons_ms]
        return TargetForecast(
            ts=ts_ms,
            observed=load,
            horizons_ms=self._horizons_ms,
            levels=self.config.levels,
            values=tuple(
                tuple(value * factor for value in row)
                for row, factor in zip(values.tolist(), factors, strict=True)
            ),
            model=self.champion,
            skill=self._load.skill(),
        )

    def quantiles(self, model: str, horizon_ms: int) -> list[float] | None:
        """What one of the ensemble's models forecasts that far ahead, at `levels`; None: it cannot tell yet.

        Known events are left out: they are the same for every model.
        """
        values = self._load.forecast([horizon_ms], self.config.levels, model=model)[0]
        return None if np.isnan(values).any() else [float(value) for value in values]

    def parameters(self, model: str) -> dict[str, Any]:
        """What makes one of the ensemble's models what it is."""
        member = self.config.members.get(model)
        own = {} if member is None else {"model": member.model, "params": member.params}
        members = sorted(self.config.members) if model == ENSEMBLE else []
        return {**own, "levels": list(self.config.levels), "members": members}

    def to_bytes(self, key: bytes | None = None) -> bytes:
        """The whole state, as msgpack; `key` signs the state of River members where there are any.

        Raises:
            detectors.forecasting.ForecasterStateError: there are such members and no key.
        """
        return msgspec.msgpack.encode(
            _Stored(
                layout=LAYOUT,
                startup_ms=self._peak.startup_ms,
                peak=self._peak.dump(0, 1),
                load=self._load.dump(key),
                memory=self._memory,
            )
        )

    @classmethod
    def from_bytes(cls, config: ScaleConfig, data: bytes, key: bytes | None = None) -> "TargetScaler":
        """Go on from `to_bytes`; what the state learnt for another start-up time is learnt anew.

        Raises:
            ScalerStateError: the bytes are not a scaler's state of this version.
        """
        scaler = cls(config)
        try:
            layout = msgspec.msgpack.decode(data, type=_Layout).layout
            if layout != LAYOUT:
                raise ScalerStateError(f"scaler state has layout {layout}, expected {LAYOUT}")
            stored = msgspec.msgpack.decode(data, type=_Stored)
            if stored.startup_ms == scaler._peak.startup_ms:
                scaler._peak.load(0, 1, stored.peak)
            scaler._load.load(stored.load, key)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ScalerStateError(f"not a scaler's state of layout {LAYOUT}: {error}") from error
        scaler._memory = stored.memory
        scaler._policy = config.policy(scaler.capacity or 1.0)
        return scaler
