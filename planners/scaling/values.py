"""What scaling planners take and give: frozen structs, no behaviour beyond a check of the policy."""

import msgspec

from planners.scaling.schedule import Schedule


class PolicyError(ValueError):
    """A policy cannot be followed; the text names the field and what was expected."""


class ScalePolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one target is to be scaled.

    `capacity` is the load one replica serves, in the load's unit. `startup_s` is the time from asking
    for a replica to its serving. `price` is paid per replica-hour; `penalty` per replica-hour of load
    that no replica served; `breach_penalty` per hour in which any load was not served (None: what the
    reactive rule's bill for its own breaches says, see `shadow`).

    Limits: `min_replicas` and `max_replicas`; `tolerance`, the relative change below which a count is
    not lowered; `stabilisation_s`, how long the highest recommendation is kept before going down;
    `max_step_up` and `max_step_down`, replicas per decision; `budget_per_hour`, in the price's unit.

    `schedules` raise the minimum at times. With `min_replicas` 0 the last replica goes once the load
    has been nothing for `idle_s`. A consumer of a queue gives `drain_s`: within it the backlog is to be
    worked off, beside what arrives; loads and capacity are then rates per second.

    `hpa_target` is the utilisation that the reactive rule aims at, where that rule is used.
    """

    capacity: float
    startup_s: float = 120.0
    price: float = 1.0
    penalty: float = 12.0
    breach_penalty: float | None = None
    min_replicas: int = 1
    max_replicas: int = 1000
    tolerance: float = 0.0
    stabilisation_s: float = 0.0
    max_step_up: int | None = None
    max_step_down: int | None = None
    budget_per_hour: float | None = None
    schedules: tuple[Schedule, ...] = ()
    idle_s: float = 300.0
    drain_s: float | None = None
    hpa_target: float = 0.70
    fixed_replicas: int | None = None

    def __post_init__(self) -> None:
        for name in ("capacity", "price", "hpa_target"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise PolicyError(f"{name} is {getattr(self, name)}, expected a positive number")
        amounts = (
            "startup_s",
            "penalty",
            "breach_penalty",
            "tolerance",
            "stabilisation_s",
            "min_replicas",
            "idle_s",
        )
        for name in amounts:
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < float("inf"):
                raise PolicyError(f"{name} is {value}, expected zero or more")
        if self.drain_s is not None and not 0.0 < self.drain_s < float("inf"):
            raise PolicyError(f"drain_s is {self.drain_s}, expected a positive number of seconds")
        for name in ("max_step_up", "max_step_down"):
            step = getattr(self, name)
            if step is not None and step < 1:
                raise PolicyError(f"{name} is {step}, expected at least 1, or nothing for no limit")
        if self.max_replicas < self.min_replicas:
            raise PolicyError(
                f"max_replicas {self.max_replicas} is below min_replicas {self.min_replicas}: widen them"
            )


class Observation(msgspec.Struct, frozen=True, kw_only=True):
    """A target at event time `ts` (Unix ms): its load, and its desired replicas (None: not known).

    `backlog` is what waits in the queue of a consumer, in units of load times seconds.
    """

    ts: int
    load: float
    replicas: int | None = None
    backlog: float = 0.0


class LoadForecast(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of the load within the start-up time, made at `ts` (Unix ms).

    `peaks[i]` is the quantile `levels[i]` of the highest load until a replica asked for now serves,
    `ahead[i]` of the load at that moment; levels ascend. Empty `ahead`: not known, the peak counts.
    `skill` is one minus the recent loss over that of a persistence forecast; None while there is too
    little history to tell.
    """

    ts: int
    levels: tuple[float, ...]
    peaks: tuple[float, ...]
    skill: float | None
    model: str
    ahead: tuple[float, ...] = ()


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """Desired replicas with their reasons.

    `wanted` is what the rule asked for before limits, `quantile` the probability with which
    `replicas` serve the whole window according to the forecast (None without one), `rule` the rule
    that was followed, `limited_by` the limits that changed its answer, in the order applied.
    """

    ts: int
    replicas: int
    previous: int
    changed: bool
    wanted: int
    rule: str
    reasons: tuple[str, ...]
    limited_by: tuple[str, ...] = ()
    quantile: float | None = None


class Shadow(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The simulated reactive fleet at `ts` (Unix ms).

    `starting` holds (ready at, count), `advice` (given at, count) of the stabilisation time, in s after
    the first sample. `paid` (replica-seconds) and `breached` (s) fade with a memory of two weeks.
    """

    ts: int
    clock_s: float
    load: float
    wanted: int
    running: int
    starting: tuple[tuple[float, int], ...]
    advice: tuple[tuple[float, int], ...]
    paid: float
    breached: float


class ScaleState(msgspec.Struct, frozen=True, kw_only=True):
    """What a planner remembers between decisions.

    `last` is the last decision; `recent` holds (time in ms, replicas) of recommendations within the
    stabilisation time, newest last, none of which is below a later one. `shadow` is the simulated
    reactive fleet, where the planner keeps one. `active_ms` is when there last was load.
    """

    last: Decision | None = None
    recent: tuple[tuple[int, int], ...] = ()
    shadow: Shadow | None = None
    active_ms: int | None = None
