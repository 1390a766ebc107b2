"""Scales one target: its forecaster, its planner, and the state of both."""

import math
from typing import Annotated, Any

import msgspec
import numpy as np

from detectors.forecasting import LoadForecaster, PeakForecaster, make_forecaster
from planners.scaling import (
    Decision,
    LoadForecast,
    Observation,
    ScalePolicy,
    ScaleState,
    Schedule,
    known_planners,
    make_planner,
)
from schemas import Forecast

LAYOUT = 2
PEAK_LEVELS = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)

_ROW = np.zeros(1, dtype=np.int64)


def _key(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class Member(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A River forecaster in the ensemble, such as `river.time_series.HoltWinters`."""

    model: Annotated[str, _key("dotted name")]
    params: Annotated[dict[str, Any], _key("the model's own parameters")] = {}


class ScaleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a target is scaled. Every field has a default that suits a web service."""

    planner: Annotated[str, _key("newsvendor, reactive or fixed")] = "newsvendor"
    startup_s: Annotated[float, _key("seconds from asking for a replica until it serves")] = 120.0
    capacity: Annotated[
        float | None,
        _key("load one replica serves; absent: highest load seen so far over peak_replicas"),
    ] = None
    peak_replicas: Annotated[float, _key("replicas at the highest load, where capacity is absent")] = 40.0
    min: Annotated[int, _key("fewest replicas")] = 1
    max: Annotated[int, _key("most replicas")] = 1000
    price: Annotated[float, _key("cost of a replica-hour")] = 1.0
    penalty: Annotated[float, _key("cost of a replica-hour of load that is not served")] = 12.0
    breach_penalty: Annotated[
        float | None,
        _key("cost of an hour in which any load is not served; absent: by the reactive rule's own breaches"),
    ] = None
    tolerance: Annotated[float, _key("relative decrease that is not worth a change")] = 0.0
    stabilisation_s: Annotated[float, _key("seconds for which the highest recommendation is kept")] = 0.0
    max_step_up: Annotated[int | None, _key("most replicas added at once")] = None
    max_step_down: Annotated[int | None, _key("most replicas taken at once")] = None
    budget_per_hour: Annotated[float | None, _key("most that may be spent in an hour")] = None
    hpa_target: Annotated[float, _key("utilisation the reactive rule aims at")] = 0.70
    fixed_replicas: Annotated[int | None, _key("replicas of the fixed planner")] = None
    schedules: Annotated[tuple[Schedule, ...], _key("minimum replicas by the clock")] = ()
    idle_s: Annotated[float, _key("with min 0: seconds without load until the last replica goes")] = 300.0
    drain_s: Annotated[
        float | None, _key("for a queue's consumer: seconds within which the backlog is to be drained")
    ] = None
    levels: Annotated[tuple[float, ...], _key("quantiles of published forecasts")] = (0.05, 0.5, 0.9, 0.99)
    horizons_s: Annotated[tuple[float, ...], _key("how far ahead published forecasts look, in seconds")] = (
        60.0, 180.0, 600.0, 3_600.0, 21_600.0, 86_400.0,
    )  # fmt: skip
    members: Annotated[
        dict[str, Member], _key("River forecasters that join the ensemble, by a name of your choice")
    ] = {}

    def __post_init__(self) -> None:
        if self.planner not in known_planners():
            known = ", ".join(known_planners())
            raise ValueError(f"planner is {self.planner!r}, expected one of {known}")
        if not 0 < self.peak_replicas < math.inf:
            raise ValueError(f"peak_replicas is {self.peak_replicas}, expected a positive number")
        if not self.levels or not all(0.0 < level < 1.0 for level in self.levels):
            raise ValueError(f"levels are {self.levels}, expected numbers between 0 and 1")
        if list(self.levels) != sorted(set(self.levels)):
            raise ValueError(f"levels are {self.levels}, expected them to ascend")
        if not self.horizons_s or not all(0.0 < horizon < math.inf for horizon in self.horizons_s):
            raise ValueError(f"horizons_s are {self.horizons_s}, expected positive numbers of seconds")
        for member in self.members.values():
            make_forecaster(member.model, member.params)
        self.policy(self.capacity or 1.0)

    def policy(self, capacity: float) -> ScalePolicy:
        """The planner's view of it.

        Raises:
            planners.scaling.PolicyError: a value cannot be followed.
        """
        return ScalePolicy(
            capacity=capacity,
            startup_s=self.startup_s,
            price=self.price,
            penalty=self.penalty,
            breach_penalty=self.breach_penalty,
            min_replicas=self.min,
            max_replicas=self.max,
            tolerance=self.tolerance,
            stabilisation_s=self.stabilisation_s,
            max_step_up=self.max_step_up,
            max_step_down=self.max_step_down,
            budget_per_hour=self.budget_per_hour,
            schedules=self.schedules,
            idle_s=self.idle_s,
            drain_s=self.drain_s,
            hpa_target=self.hpa_target,
            fixed_replicas=self.fixed_replicas,
        )


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


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    layout: int
    startup_ms: int
    peak: bytes
    load: bytes
    state: ScaleState
    highest: float
    last_ms: int | None


class ScalerStateError(ValueError):
    """Stored bytes are not a scaler's state of this version; the target has to learn anew."""


class TargetScaler:
    """Forecasts one target's load and decides on its replicas, sample by sample."""

    def __init__(self, config: ScaleConfig) -> None:
        self.config = config
        self._plan = make_planner(config.planner)
        self._policy = config.policy(config.capacity or 1.0)
        self._peak = PeakForecaster(startup_ms=round(config.startup_s * 1000.0))
        self._peak.grow(1)
        self._load = LoadForecaster(
            {name: (member.model, member.params) for name, member in config.members.items()}
        )
        self._horizons_ms = tuple(round(horizon * 1000.0) for horizon in config.horizons_s)
        self._state = ScaleState()
        self._highest = 0.0
        self._last_ms: int | None = None
        self._time = np.zeros(1, dtype=np.int64)
        self._value = np.zeros(1)

    @property
    def capacity(self) -> float | None:
        """The load one replica serves, given or learnt; None while it is not known."""
        if self.config.capacity is None and self._highest <= 0.0:
            return None
        return self._policy.capacity

    def observe(
        self, ts_ms: int, load: float, replicas: int | None = None, backlog: float = 0.0
    ) -> tuple[TargetForecast | None, Decision | None]:
        """Learn the load at `ts_ms` (Unix ms) and decide; `replicas` is the desired count, None if unknown;
        `backlog` what waits in a consumer's queue.

        A time at or before the last one gives (None, None). A load that is not a number is a missing
        sample: nothing is learnt, and the planner keeps to what it knows.
        """
        if self._last_ms is not None and ts_ms <= self._last_ms:
            return None, None
        ts_ms, load, backlog = int(ts_ms), float(load), float(backlog)  # NumPy's scalars cannot be stored
        replicas = None if replicas is None else int(replicas)
        self._last_ms = ts_ms
        self._time[0], self._value[0] = ts_ms, load
        self._peak.update(_ROW, self._time, self._value)
        self._load.observe(ts_ms, load)
        known = math.isfinite(load)
        policy = self._policy
        if self.config.capacity is None:
            if known and load > self._highest:
                self._highest = load
                self._policy = self.config.policy(load / self.config.peak_replicas)
            policy = self._policy
            if self._highest <= 0.0:
                return None, None  # no load yet: nothing tells what a replica can do
        forecast = self._forecast(ts_ms) if known else None
        observation = Observation(ts=ts_ms, load=load, replicas=replicas, backlog=backlog)
        decision, self._state = self._plan(policy, self._state, observation, forecast)
        return self._published(ts_ms, load) if known else None, decision

    def _forecast(self, ts_ms: int) -> LoadForecast | None:
        peaks, ahead = self._peak.forecast(_ROW, PEAK_LEVELS)
        if math.isnan(peaks[0, 0]):
            return None
        return LoadForecast(
            ts=ts_ms,
            levels=PEAK_LEVELS,
            peaks=tuple(peaks[0].tolist()),
            ahead=tuple(ahead[0].tolist()),
            skill=self._peak.skill(0),
            model="peak",
        )

    def _published(self, ts_ms: int, load: float) -> TargetForecast | None:
        values = self._load.forecast(self._horizons_ms, self.config.levels)
        if math.isnan(values[0, 0]):
            return None
        return TargetForecast(
            ts=ts_ms,
            observed=load,
            horizons_ms=self._horizons_ms,
            levels=self.config.levels,
            values=tuple(tuple(row) for row in values.tolist()),
            model="ensemble",
            skill=self._load.skill(),
        )

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
                state=self._state,
                highest=self._highest,
                last_ms=self._last_ms,
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
            stored = msgspec.msgpack.decode(data, type=_Stored)
            if stored.layout != LAYOUT:
                raise ScalerStateError(f"scaler state has layout {stored.layout}, expected {LAYOUT}")
            if stored.startup_ms == scaler._peak.startup_ms:
                scaler._peak.load(0, 1, stored.peak)
            scaler._load.load(stored.load, key)
        except (msgspec.MsgspecError, ValueError) as error:
            raise ScalerStateError(f"not a scaler's state of layout {LAYOUT}: {error}") from error
        scaler._state = stored.state
        scaler._highest = stored.highest
        scaler._last_ms = stored.last_ms
        if config.capacity is None and stored.highest > 0.0:
            scaler._policy = config.policy(stored.highest / config.peak_replicas)
        return scaler
