"""Verdicts on releases by tests that may be looked at after every observation, and what follows from them."""

from planners.releases.canary import (
    Canary,
    CanaryAction,
    CanaryPlan,
    Confirmed,
    Observed,
    Ordered,
    advance,
    start,
)
from planners.releases.config import JudgeConfig, MetricSpec
from planners.releases.experiment import Experiment, ExperimentConfig
from planners.releases.history import Change, History, HistoryConfig
from planners.releases.judge import ReleaseJudge
from planners.releases.rollout import Rollout, RolloutConfig, Seen, Step
from planners.releases.verdict import MetricVerdict, Verdict
from planners.releases.watch import TargetWatch

__all__ = [
    "Canary",
    "CanaryAction",
    "CanaryPlan",
    "Change",
    "Confirmed",
    "Experiment",
    "ExperimentConfig",
    "History",
    "HistoryConfig",
    "JudgeConfig",
    "MetricSpec",
    "MetricVerdict",
    "Observed",
    "Ordered",
    "ReleaseJudge",
    "Rollout",
    "RolloutConfig",
    "Seen",
    "Step",
    "TargetWatch",
    "Verdict",
    "advance",
    "start",
]
