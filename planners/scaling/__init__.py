"""Replica counts from forecasts and observations: pure functions with explicit state."""

from planners.scaling.capacity import CapacityState, Saturation, learn_capacity, learnt_capacity
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
    "CapacityState",
    "Decision",
    "LoadForecast",
    "Observation",
    "Planner",
    "PolicyError",
    "Saturation",
    "ScalePolicy",
    "ScaleState",
    "Schedule",
    "ScheduleError",
    "UnknownPlannerError",
    "known_planners",
    "largest",
    "learn_capacity",
    "learnt_capacity",
    "make_planner",
]
