"""Who runs where and when: jobs with resources and deadlines on nodes, cheap hours for what can wait."""

from planners.placement.curve import Curve, CurveError
from planners.placement.rules import Rule, UnknownRuleError, known_rules, make_rule
from planners.placement.schedule import Plan, schedule
from planners.placement.score import Score, score
from planners.placement.validity import violations
from planners.placement.values import Job, Node, Placement, PlacementError, Refusal

__all__ = [
    "Curve",
    "CurveError",
    "Job",
    "Node",
    "Placement",
    "PlacementError",
    "Plan",
    "Refusal",
    "Rule",
    "Score",
    "UnknownRuleError",
    "known_rules",
    "make_rule",
    "schedule",
    "score",
    "violations",
]
