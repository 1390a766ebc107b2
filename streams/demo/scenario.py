"""What the demo's release is like: the bad one that replaces all, or a canary that is bad or good."""

from dataclasses import dataclass

from planners.releases import CanaryPlan, JudgeConfig, MetricSpec
from streams.demo.service import ERROR_COUNT, ERRORS, LATENCY, REQUEST_COUNT

BAKE_TICKS = 5


@dataclass(frozen=True, slots=True)
class Scenario:
    """`at` is the share of the live part after which the release comes; `canary` says that it is one."""

    name: str
    at: float
    bad: bool
    canary: bool

    def plan(self, step_ms: int) -> CanaryPlan | None:
        """The canary's steps where the service reports every `step_ms`."""
        if not self.canary:
            return None
        return CanaryPlan(bake_ms=BAKE_TICKS * step_ms, least_steps=3, silence_ms=60 * step_ms)

    @property
    def judge(self) -> JudgeConfig:
        """What the release is judged on: of a canary, requests are counted by arm."""
        latency = MetricSpec(name=LATENCY, kind="gauge", tolerance=0.2, margin=0.5, must_not_fail=False)
        errors = MetricSpec(name=ERRORS, kind="gauge", tolerance=0.5, margin=1.0)
        if self.canary:
            errors = MetricSpec(name=ERROR_COUNT, kind="rate", total=REQUEST_COUNT, tolerance=0.5, margin=1.0)
        return JudgeConfig(metrics=(errors, latency), only_listed=True)


WHOLE = Scenario("whole", at=0.4, bad=True, canary=False)
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("bad-release", at=0.2, bad=True, canary=True),
        Scenario("good-release", at=0.15, bad=False, canary=True),
    )
}
