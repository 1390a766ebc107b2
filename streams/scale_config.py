"""How a target is scaled: the keys of `[targets.scale]`."""

import math
from typing import Annotated, Any

import msgspec

from detectors.forecasting import make_forecaster
from planners.scaling import Saturation, ScalePolicy, Schedule, known_planners


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
        _key("load one replica serves; absent: learnt from saturation, else highest load over peak_replicas"),
    ] = None
    peak_replicas: Annotated[float, _key("replicas at the highest load, where capacity is absent")] = 40.0
    saturation_limit: Annotated[
        float, _key("saturation at which a replica has all it can serve: a share of 1, or seconds")
    ] = 0.8
    saturation_kind: Annotated[
        Saturation, _key("`utilisation`, in a line with the load; `latency`, as in a queue")
    ] = "utilisation"
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
        if not 0 < self.saturation_limit < math.inf:
            raise ValueError(f"saturation_limit is {self.saturation_limit}, expected a positive number")
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
