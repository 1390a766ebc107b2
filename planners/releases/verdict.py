"""The outcome of judging a release, in words and numbers."""

from typing import Literal

import msgspec

from planners.releases.config import Decision

Finding = Literal["harmful", "safe", "undecided", "no-data"]


class MetricVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one metric says.

    `evidence` is an e-value (before/after: 1/p) against "no harm beyond the tolerance"; 100 means: seen
    at most once in a hundred harmless releases, over all looks. `ratio`, `lower` and `upper` compare the
    canary with its control (or the time after with the time before); None without data.
    `steps` counts the steps with both arms, `missing` those in which one of them was silent.
    """

    metric: str
    kind: str
    finding: Finding
    evidence: float
    needed: float
    tolerance: float
    ratio: float | None
    lower: float | None
    upper: float | None
    steps: int
    missing: int
    reason: str


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a release, as of event time `ts` (Unix ms).

    `metric` is the one with the most evidence of harm, None before any was observed. `final` says that the
    judge will not change its mind: a release has at most one final verdict.
    """

    release: str
    ts: int
    verdict: Decision
    metric: str | None
    reason: str
    final: bool
    per_metric: tuple[MetricVerdict, ...]
