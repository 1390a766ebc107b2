"""Verdicts on releases by tests that may be looked at after every observation."""

from planners.releases.config import JudgeConfig, MetricSpec
from planners.releases.judge import ReleaseJudge
from planners.releases.verdict import MetricVerdict, Verdict
from planners.releases.watch import TargetWatch

__all__ = ["JudgeConfig", "MetricSpec", "MetricVerdict", "ReleaseJudge", "TargetWatch", "Verdict"]
