"""Verdicts on releases by tests that may be looked at after every observation, and what follows from them."""

from planners.releases.canary import Canary, CanaryAction, CanaryPlan, Observed, Ordered, advance, start
from planners.releases.config import JudgeConfig, MetricSpec
from planners.releases.experiment import Experiment, ExperimentConfig
from planners.releases.history import History, HistoryConfig
from planners.releases.judge import ReleaseJudge
from planners.releases.verdict import MetricVerdict, Verdict
from planners.releases.watch import TargetWatch

__all__ = [
    "Canary",
    "CanaryAction",
    "CanaryPlan",
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
    "TargetWatch",
    "Verdict",
    "advance",
    "start",
]
