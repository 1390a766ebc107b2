"""What every scaling planner is, and the planners by name."""

from collections.abc import Mapping
from typing import Protocol

from planners.scaling.fixed import fixed
from planners.scaling.newsvendor import newsvendor
from planners.scaling.reactive import reactive
from planners.scaling.values import Decision, LoadForecast, Observation, ScalePolicy, ScaleState


class UnknownPlannerError(ValueError):
    """No planner has that name; the text lists the known ones."""


class Planner(Protocol):
    """A pure function from what is known to a decision and the state for the next one.

    Of an observation not newer than the last one it gives the last decision again, unchanged. The
    count is within the policy's minimum and maximum whatever the forecast holds.
    """

    def __call__(
        self,
        policy: ScalePolicy,
        state: ScaleState,
        observation: Observation,
        forecast: LoadForecast | None = None,
    ) -> tuple[Decision, ScaleState]:
        """Decide on the replicas at the observation's time."""


_PLANNERS: Mapping[str, Planner] = {"newsvendor": newsvendor, "reactive": reactive, "fixed": fixed}


def known_planners() -> tuple[str, ...]:
    """Names that `make_planner` takes."""
    return tuple(_PLANNERS)


def make_planner(name: str) -> Planner:
    """The planner of that name.

    Raises:
        UnknownPlannerError: there is none; the text lists the known ones.
    """
    if name not in _PLANNERS:
        raise UnknownPlannerError(f"unknown planner {name!r}: known are {', '.join(known_planners())}")
    return _PLANNERS[name]
