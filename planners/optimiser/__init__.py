"""A plan for the whole cluster: who gets how many replicas under a shared capacity and budget."""

from planners.optimiser.plan import Allocation, ClusterPlan, SolverError, optimise
from planners.optimiser.proportional import proportional
from planners.optimiser.values import ClusterError, ClusterLimits, Demand
from planners.optimiser.worth import cost_of

__all__ = [
    "Allocation",
    "ClusterError",
    "ClusterLimits",
    "ClusterPlan",
    "Demand",
    "SolverError",
    "cost_of",
    "optimise",
    "proportional",
]
