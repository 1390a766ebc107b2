"""The plan of a canary: which share of the traffic it gets when, until it is promoted or taken back.

A state machine of plain data: `Canary` and an event in, the next `Canary` and at most one action out. Every
action has a key that is made from what it decides, so that a replay asks for the same thing again and the
ledger carries it out once. Time comes with the events.

    baking --step's time over, verdict not bad--> baking at the next step --last step's time over--> promoted
    baking --verdict rollback, or abort--> rolled-back
    baking <--resume-- paused <--pause, or silence for too long-- baking
"""

from typing import Annotated, Literal

import msgspec

from planners.releases.verdict import Verdict
from schemas import Promote, Rollback, SetTraffic

Phase = Literal["baking", "paused", "promoted", "rolled-back"]

Percent = Annotated[float, msgspec.Meta(gt=0, le=100)]


class CanaryPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of the traffic in percent, ascending, each kept for `bake_ms` at least.

    A step ends when it lasted `bake_ms` and every metric had `least_steps` steps of data in it; it is cut
    short by a verdict "promote" only where `eager`. A step without enough data for `silence_ms` ends in
    `on_silence`.

    Raises:
        ValueError: the steps do not ascend, or there are none.
    """

    steps: tuple[Percent, ...] = (5.0, 25.0, 50.0, 100.0)
    bake_ms: Annotated[int, msgspec.Meta(ge=0)] = 600_000
    least_steps: Annotated[int, msgspec.Meta(ge=1)] = 5
    eager: bool = False
    silence_ms: Annotated[int, msgspec.Meta(gt=0)] = 3_600_000
    on_silence: Literal["pause", "rollback"] = "pause"

    def __post_init__(self) -> None:
        if not self.steps or list(self.steps) != sorted(set(self.steps)):
            raise ValueError(f"canary steps {list(self.steps)} must ascend, e.g. 5, 25, 50, 100")


class Observed(msgspec.Struct, frozen=True, tag="observed"):
    """Time is `ts` (Unix ms); `verdict` is the judge's present one, None where there is none yet."""

    ts: int
    verdict: Verdict | None = None


class Ordered(msgspec.Struct, frozen=True, tag="ordered"):
    """A person's word at `ts` (Unix ms)."""

    ts: int
    order: Literal["pause", "resume", "promote", "abort"]
    by: str
    reason: str = ""


CanaryEvent = Observed | Ordered


class CanaryAction(msgspec.Struct, frozen=True):
    """What to do: `key` is the same for the same decision, so that it is carried out once."""

    key: str
    action: SetTraffic | Promote | Rollback
    reason: str


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """Where a release stands: in `step` of its plan since `since` (Unix ms).

    `had` are the steps of data that each metric had when the plan's step began. `last` is the time of the
    newest event: older ones, replayed, change nothing.
    """

    release: str
    previous: str | None
    plan: CanaryPlan
    started_at: int
    phase: Phase
    step: int
    since: int
    last: int
    had: dict[str, int]
    why: str

    @property
    def percent(self) -> float:
        """The share of the traffic that the release should have now."""
        if self.phase == "rolled-back":
            return 0.0
        return 100.0 if self.phase == "promoted" else self.plan.steps[self.step]


def start(
    release: str, previous: str | None, ts: int, plan: CanaryPlan | None = None
) -> tuple[Canary, CanaryAction]:
    """A canary at its first step, and the traffic that it needs."""
    plan = plan or CanaryPlan()
    canary = Canary(
        release=release,
        previous=previous,
        plan=plan,
        started_at=ts,
        phase="baking",
        step=0,
        since=ts,
        last=ts,
        had={},
        why=f"{release} starts with {plan.steps[0]:g} % of the traffic",
    )
    return canary, _traffic(canary)


def advance(canary: Canary, event: CanaryEvent) -> tuple[Canary, CanaryAction | None]:
    """The state after `event`, and what to do; None where nothing changes.

    A release that is promoted or rolled back stays so, whatever comes.
    """
    if canary.phase in ("promoted", "rolled-back") or event.ts < canary.last:
        return canary, None
    canary = msgspec.structs.replace(canary, last=event.ts)
    if isinstance(event, Ordered):
        return _order(canary, event)
    return _observe(canary, event)


def _order(canary: Canary, event: Ordered) -> tuple[Canary, CanaryAction | None]:
    why = f"{event.by}: {event.reason or event.order}"
    if event.order == "abort":
        return _roll_back(canary, why)
    if event.order == "promote":
        return _promote(canary, why)
    phase: Phase = "paused" if event.order == "pause" else "baking"
    if phase == canary.phase:
        return canary, None
    # A step that was paused is baked anew: what was seen while nobody decided may be hours old.
    return msgspec.structs.replace(canary, phase=phase, since=event.ts, why=why), None


def _observe(canary: Canary, event: Observed) -> tuple[Canary, CanaryAction | None]:
    verdict = event.verdict
    if verdict is not None and verdict.verdict == "rollback":
        return _roll_back(canary, verdict.reason)
    if canary.phase == "paused":
        return canary, None
    if verdict is not None and verdict.verdict == "promote" and canary.plan.eager:
        return _promote(canary, verdict.reason)
    waited = event.ts - canary.since
    if waited >= canary.plan.bake_ms and _enough(canary, verdict):
        return _next_step(canary, event.ts, verdict)
    return _silent(canary, event.ts) if waited >= canary.plan.silence_ms else (canary, None)


def _silent(canary: Canary, ts: int) -> tuple[Canary, CanaryAction | None]:
    minutes = (ts - canary.since) // 60_000
    why = f"step {canary.plan.steps[canary.step]:g} % had too little data for {minutes} min"
    if canary.plan.on_silence == "rollback":
        return _roll_back(canary, why)
    return msgspec.structs.replace(canary, phase="paused", since=ts, why=why), None


def _enough(canary: Canary, verdict: Verdict | None) -> bool:
    """Whether every metric had data enough in this step, or the judge is sure already."""
    if verdict is None or not verdict.per_metric:
        return False
    if verdict.verdict == "promote":
        return True
    least = canary.plan.least_steps
    return all(seen.steps - canary.had.get(seen.metric, 0) >= least for seen in verdict.per_metric)


def _next_step(canary: Canary, ts: int, verdict: Verdict | None) -> tuple[Canary, CanaryAction]:
    if canary.step + 1 == len(canary.plan.steps):
        return _promote(canary, f"the last step, {canary.plan.steps[-1]:g} %, went well")
    had = {seen.metric: seen.steps for seen in verdict.per_metric} if verdict is not None else {}
    why = f"{canary.plan.steps[canary.step]:g} % went well"
    canary = msgspec.structs.replace(canary, step=canary.step + 1, since=ts, had=had, why=why)
    return canary, _traffic(canary)


def _traffic(canary: Canary) -> CanaryAction:
    action = SetTraffic(release=canary.release, percent=canary.percent)
    return CanaryAction(_key(canary, f"step-{canary.step}"), action, canary.why)


def _promote(canary: Canary, why: str) -> tuple[Canary, CanaryAction]:
    canary = msgspec.structs.replace(canary, phase="promoted", why=why)
    return canary, CanaryAction(_key(canary, "promote"), Promote(release=canary.release), why)


def _roll_back(canary: Canary, why: str) -> tuple[Canary, CanaryAction]:
    canary = msgspec.structs.replace(canary, phase="rolled-back", why=why)
    action = Rollback(release=canary.release, to=canary.previous)
    return canary, CanaryAction(_key(canary, "rollback"), action, why)


def _key(canary: Canary, part: str) -> str:
    return f"{canary.release}@{canary.started_at}/{part}"
