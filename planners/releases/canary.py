"""The plan of a canary: which share of the traffic it gets when, until it is promoted or taken back.

A state machine of plain data: `Canary` and an event in, the next `Canary` and at most one action out. Every
action has a key that is made from what it decides, so that a replay asks for the same thing again and the
ledger carries it out once. Time comes with the events.

    baking --step's time over, verdict not bad--> baking at the next step --last step's time over--> promoted
    baking, paused --verdict rollback, or abort--> rolled-back
    baking <--resume-- paused <--pause, or silence for too long-- baking

A step's time begins when the platform has confirmed its traffic (`Confirmed`), not when it was asked for.
"""

from typing import Annotated, Any, Literal

import msgspec

from planners.releases.verdict import Verdict
from schemas import Promote, Rollback, SetTraffic

Phase = Literal["baking", "paused", "promoted", "rolled-back"]

Percent = Annotated[float, msgspec.Meta(gt=0, le=100)]


def _key(description: str, **bounds: Any) -> msgspec.Meta:
    return msgspec.Meta(description=description, **bounds)


class CanaryPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Shares of the traffic in percent, ascending, each kept for `bake_ms` at least.

    A step ends when it lasted `bake_ms` and every metric had `least_steps` steps of data in it; it is cut
    short by a verdict "promote" only where `eager`. A step without enough data, or without the platform's
    word that its traffic is set, for `silence_ms` ends in `on_silence`.

    Raises:
        ValueError: the steps do not ascend, or there are none.
    """

    steps: Annotated[tuple[Percent, ...], _key("shares of the traffic in percent, ascending")] = (
        5.0, 25.0, 50.0, 100.0,
    )  # fmt: skip
    bake_ms: Annotated[int, _key("ms that each step lasts at least", ge=0)] = 600_000
    least_steps: Annotated[int, _key("steps of data that each metric needs in a step", ge=1)] = 5
    eager: Annotated[bool, _key("promote as soon as the judge would, whatever the step")] = False
    silence_ms: Annotated[int, _key("ms without enough data after which on_silence follows", gt=0)] = (
        3_600_000
    )
    on_silence: Annotated[Literal["pause", "rollback"], _key("pause (a person decides) or rollback")] = (
        "pause"
    )

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


class Confirmed(msgspec.Struct, frozen=True, tag="confirmed"):
    """The platform has set the traffic of plan step `step`, as of `ts` (Unix ms)."""

    ts: int
    step: int
    verdict: Verdict | None = None


CanaryEvent = Observed | Ordered | Confirmed


class CanaryAction(msgspec.Struct, frozen=True):
    """What to do: `key` is the same for the same decision, so that it is carried out once."""

    key: str
    action: SetTraffic | Promote | Rollback
    reason: str
    by: str = "tidegate"


class Canary(msgspec.Struct, frozen=True, kw_only=True):
    """Where a release stands: in `step` of its plan since `since` (Unix ms).

    `confirmed` says that the platform has set the step's traffic. `had` are the steps of data that each
    metric had when the plan's step began.
    """

    release: str
    previous: str | None
    plan: CanaryPlan
    started_at: int
    phase: Phase
    step: int
    since: int
    confirmed: bool
    had: dict[str, int]
    why: str

    @property
    def walking(self) -> bool:
        """Whether it is neither promoted nor rolled back."""
        return self.phase in ("baking", "paused")

    @property
    def alone(self) -> bool:
        """Whether it has all the traffic, so that no control runs beside it."""
        return self.walking and self.confirmed and self.percent >= 100

    def over(self, ts: int) -> bool:
        """Whether the present step may end at `ts` (Unix ms), if there is data enough."""
        return self.phase == "baking" and (self.plan.eager or ts - self.since >= self.plan.bake_ms)

    @property
    def percent(self) -> float:
        """The share of the traffic that the release should have now."""
        if self.phase == "rolled-back":
            return 0.0
        return 100.0 if self.phase == "promoted" else self.plan.steps[self.step]


def start(
    release: str, previous: str | None, ts: int, plan: CanaryPlan | None = None, refused: str | None = None
) -> tuple[Canary, CanaryAction | None]:
    """A canary at its first step, and the traffic that it needs.

    `refused` says why it should not run at all: then it is paused, without traffic, until a person resumes.
    """
    plan = plan or CanaryPlan()
    canary = Canary(
        release=release,
        previous=previous,
        plan=plan,
        started_at=ts,
        phase="paused" if refused else "baking",
        step=0,
        since=ts,
        confirmed=False,
        had={},
        why=refused or f"{release} starts with {plan.steps[0]:g} % of the traffic",
    )
    return canary, None if refused else _traffic(canary)


def advance(canary: Canary, event: CanaryEvent) -> tuple[Canary, CanaryAction | None]:
    """The state after `event`, and what to do; None where nothing changes.

    A release that is promoted or rolled back stays so, whatever comes. An order must come once: it is the
    caller who knows a replayed one.
    """
    if not canary.walking:
        return canary, None
    if isinstance(event, Ordered):
        return _order(canary, event)
    if isinstance(event, Confirmed):
        return _confirm(canary, event), None
    return _observe(canary, event)


def _order(canary: Canary, event: Ordered) -> tuple[Canary, CanaryAction | None]:
    why = f"{event.by}: {event.reason or event.order}"
    if event.order == "abort":
        return _by(event, _roll_back(canary, why))
    if event.order == "promote":
        return _by(event, _promote(canary, why))
    phase: Phase = "paused" if event.order == "pause" else "baking"
    if phase == canary.phase:
        return canary, None
    # A step that was paused is baked anew: what was seen while nobody decided may be hours old.
    canary = msgspec.structs.replace(canary, phase=phase, since=event.ts, why=why)
    if phase == "paused" or canary.confirmed:
        return canary, None
    again = _traffic(canary)
    return canary, msgspec.structs.replace(again, key=f"{again.key}@{event.ts}", by=event.by)


def _by(event: Ordered, made: tuple[Canary, CanaryAction]) -> tuple[Canary, CanaryAction]:
    canary, action = made
    return canary, msgspec.structs.replace(action, by=event.by)


def _confirm(canary: Canary, event: Confirmed) -> Canary:
    if canary.confirmed or event.step != canary.step:
        return canary
    since = max(canary.since, event.ts)
    # Alone, the release is judged anew, against the time before it.
    had = {} if canary.percent >= 100 else _seen(event.verdict)
    return msgspec.structs.replace(canary, confirmed=True, since=since, had=had)


def _observe(canary: Canary, event: Observed) -> tuple[Canary, CanaryAction | None]:
    verdict = event.verdict
    if verdict is not None and verdict.verdict == "rollback":
        return _roll_back(canary, verdict.reason)
    if canary.phase == "paused":
        return canary, None
    if verdict is not None and verdict.verdict == "promote" and canary.plan.eager:
        return _promote(canary, verdict.reason)
    waited = event.ts - canary.since
    if canary.confirmed and waited >= canary.plan.bake_ms and _enough(canary, verdict):
        return _next_step(canary, event.ts)
    return _silent(canary, event.ts) if waited >= canary.plan.silence_ms else (canary, None)


def _silent(canary: Canary, ts: int) -> tuple[Canary, CanaryAction | None]:
    minutes = (ts - canary.since) // 60_000
    lacking = "had too little data" if canary.confirmed else "was not confirmed by the platform"
    why = f"step {canary.plan.steps[canary.step]:g} % {lacking} for {minutes} min"
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


def _seen(verdict: Verdict | None) -> dict[str, int]:
    return {seen.metric: seen.steps for seen in verdict.per_metric} if verdict is not None else {}


def _next_step(canary: Canary, ts: int) -> tuple[Canary, CanaryAction]:
    if canary.step + 1 == len(canary.plan.steps):
        return _promote(canary, f"the last step, {canary.plan.steps[-1]:g} %, went well")
    why = f"{canary.plan.steps[canary.step]:g} % went well"
    canary = msgspec.structs.replace(canary, step=canary.step + 1, since=ts, confirmed=False, why=why)
    return canary, _traffic(canary)


def _traffic(canary: Canary) -> CanaryAction:
    action = SetTraffic(release=canary.release, percent=canary.percent)
    return CanaryAction(_name(canary, f"step-{canary.step}"), action, canary.why)


def _promote(canary: Canary, why: str) -> tuple[Canary, CanaryAction]:
    canary = msgspec.structs.replace(canary, phase="promoted", why=why)
    return canary, CanaryAction(_name(canary, "promote"), Promote(release=canary.release), why)


def _roll_back(canary: Canary, why: str) -> tuple[Canary, CanaryAction]:
    canary = msgspec.structs.replace(canary, phase="rolled-back", why=why)
    action = Rollback(release=canary.release, to=canary.previous)
    return canary, CanaryAction(_name(canary, "rollback"), action, why)


def _name(canary: Canary, part: str) -> str:
    return f"{canary.release}@{canary.started_at}/{part}"
