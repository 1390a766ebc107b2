"""Replica counts from forecasts and observations: pure functions with explicit state."""

from planners.scaling.port import Planner, UnknownPlannerError, known_planners, make_planner
from planners.scaling.schedule import Schedule, ScheduleError
from planners.scaling.several import largest
from planners.scaling.values import (
    Decision,
    LoadForecast,
    Observation,
    PolicyError,
    ScalePolicy,
    ScaleState,
)

__all__ = [
    "Decision",
    "LoadForecast",
    "Observation",
    "Planner",
    "PolicyError",
    "ScalePolicy",
    "ScaleState",
    "Schedule",
    "ScheduleError",
    "UnknownPlannerError",
    "known_planners",
    "largest",
    "make_planner",
]
