"""The course of one target's releases: its watch, its canary's plan and its history, seen as one.

Plain data and time that comes with the events. What is to be done comes out as `CanaryAction`s, what was done
or left as `Change`s for the audit. An action is asked for until the platform has carried it out, and counts
from then on: a canary's step is baked, and a release is history, when its outcome says so.
"""

from typing import Literal

import msgspec

from planners.releases.canary import (
    Canary,
    CanaryAction,
    CanaryEvent,
    CanaryPlan,
    Confirmed,
    Observed,
    Ordered,
    advance,
    start,
)
from planners.releases.config import Arm, JudgeConfig
from planners.releases.history import Change, History, HistoryConfig
from planners.releases.joint import allowed_scale
from planners.releases.outstanding import Outstanding
from planners.releases.verdict import Verdict
from planners.releases.watch import TargetWatch
from schemas import Deployment, Promote, ReleaseOrder, Rollback, Scale, SetTraffic

LATE_MS = 1_800_000
"""A deployment that is told within this time after the first samples of its release is judged by them."""

HOLD_MS = 600_000
"""Scaling up is withheld from a release that looks bad for so long at most: by then it is judged."""

_NEVER = 1_000_000_000

Step = CanaryAction | Change
Fate = Literal["done", "dry-run", "not-done"]


class RolloutConfig(msgspec.Struct, frozen=True, kw_only=True):
    """`canary` None: a canary keeps the share it came with until it is judged."""

    judge: JudgeConfig = JudgeConfig()
    canary: CanaryPlan | None = None
    history: HistoryConfig = HistoryConfig()


class Seen(msgspec.Struct, frozen=True, array_like=True):
    """One observation at `ts` (Unix ms): a gauge's value, or events of `total`."""

    ts: int
    arm: Arm | None
    metric: str
    value: float
    total: float | None = None


class Rollout(msgspec.Struct, kw_only=True):
    """Everything known of one target's releases.

    `recent` are samples that the watch gets once no late deployment can concern them. `told` and `ordered`
    are the times of the newest deployment and of the newest order: older ones are replays. `newest` is the
    time of anything so far, `held` since when scaling up is withheld, `overdue` whether it was said that a
    verdict is.
    """

    watch: TargetWatch
    history: History
    plan: CanaryPlan | None = None
    canary: Canary | None = None
    deployment: Deployment | None = None
    recent: list[Seen] = []
    outstanding: Outstanding = msgspec.field(default_factory=Outstanding)
    told: int = -1
    ordered: int = -1
    newest: int = -1
    held: int | None = None
    overdue: bool = False

    @classmethod
    def begin(cls, config: RolloutConfig) -> "Rollout":
        """A target of which nothing is known yet."""
        return cls(
            watch=TargetWatch(config.judge), history=History(config=config.history), plan=config.canary
        )

    def configure(self, config: RolloutConfig) -> None:
        """Judge what comes from now on by `config`; a canary under way keeps its plan."""
        self.watch.config, self.plan = config.judge, config.canary
        self.history = msgspec.structs.replace(self.history, config=config.history)

    # -- what comes in ---------------------------------------------------------------------------

    def deployed(self, deployment: Deployment) -> list[Step]:
        """A release reached the target; what was seen since then counts."""
        if deployment.ts <= self.told:
            return []
        self.told = deployment.ts
        recent, self.recent = self.recent, []
        for seen in recent:
            if seen.ts < deployment.ts:
                self._learn(seen)
        steps = self._opened(deployment)
        for seen in recent:
            if seen.ts >= deployment.ts:
                steps += self.observe(seen)
        return steps

    def observe(self, seen: Seen, *, short: bool = False) -> list[Step]:
        """Take one observation; `short`: the target had too few replicas for its load."""
        if self.watch.open:
            return self._follow(seen.ts, self._learn(seen, short=short))
        self.recent.append(seen)
        while self.recent[0].ts < seen.ts - LATE_MS:
            self._learn(self.recent.pop(0))
        return self._follow(seen.ts, None)

    def advance(self, now: int) -> list[Step]:
        """Let time pass to `now` (Unix ms) without a sample: timeouts, and what is to be asked for again."""
        return self._follow(now, self.watch.advance(now))

    def order(self, order: ReleaseOrder) -> list[Step]:
        """Do what a person says."""
        if order.ts <= self.ordered:
            return []
        self.ordered = order.ts
        # A person's clock may be behind the samples', and what is ordered comes after what was decided.
        ts = max(order.ts, self.newest + 1)
        canary = self.canary if self.canary is not None and self.canary.walking else None
        running = canary.release if canary is not None else self.history.current
        if running is None or order.release not in (None, running):
            what = f"{order.order}: {running or 'no release'} is in question"
            return [_held(ts, order.release or "-", order.by, what)]
        if canary is not None:
            return self._walk(Ordered(ts, order.order, order.by, order.reason))
        why = f"{order.by}: {order.reason or order.order}"
        if order.order == "abort":
            return [self._roll_back(f"{running}@{order.ts}/rollback", running, ts, why, order.by)]
        if order.order == "promote":
            self.watch.end(good=True)
            return [self._promoted(ts, running, order.by, why)]
        return [_held(ts, running, order.by, f"{order.order}: {running} is no canary with a plan")]

    def settled(self, key: str, fate: Fate, detail: str, at: int) -> list[Step]:
        """Learn what became of the action `key` by `at` (Unix ms); of one that is not asked for, nothing."""
        if fate == "not-done":
            return [*self.outstanding.put_off(key, at, detail)]
        asked = self.outstanding.take(key)
        if asked is None:
            return []
        action, ts = asked.action, asked.ts
        release, by, why = action.action.release, action.by, action.reason
        if isinstance(action.action, SetTraffic):
            self._confirm(at)
        if fate == "dry-run":
            return [asked.held(f"dry run of {asked.kind}: {why}")]
        match action.action:
            case SetTraffic(percent=share):
                return [Change(ts=ts, release=release, how="set-traffic", by=by, reason=why, percent=share)]
            case Promote():
                return [self._promoted(ts, release, by, why)]
            case Rollback(to=to):
                beside = self._beside(release)
                self.history = self.history.rolled_back(ts, release, to, by, why, beside=beside)
                return [self.history.changes[-1]]

    def allowed(self, scale: Scale, ts: int) -> tuple[Scale | None, list[Change]]:
        """The scaling that may be carried out at `ts`: not the growth of a release that looks bad.

        None: none now. The first time it is withheld there is a `Change` to tell it.
        """
        judge = self.watch.judge
        if judge is None or not self.watch.open or scale.replicas <= scale.previous:
            return scale, []
        allowed, why = allowed_scale(scale, judge.current())
        if allowed is not None or (self.held is not None and ts - self.held >= HOLD_MS):
            return scale, []
        if self.held is not None:
            return None, []
        self.held = ts
        return None, [_held(ts, judge.release, "tidegate", str(why))]

    # -- what follows ----------------------------------------------------------------------------

    def _learn(self, seen: Seen, *, short: bool = False) -> Verdict | None:
        ts, arm, metric, value, total = seen.ts, seen.arm, seen.metric, seen.value, seen.total
        if total is None:
            return self.watch.observe_value(ts, arm, metric, value, short=short)
        return self.watch.observe_count(ts, arm, metric, value, total, short=short)

    def _opened(self, deployment: Deployment) -> list[Step]:
        """Open the judgement of a release, and its canary's plan where there is one."""
        canary, release, ts = self.canary, deployment.release, deployment.ts
        if canary is not None and canary.release == release and canary.phase != "rolled-back":
            return []  # the platform tells what the canary's own steps have brought about
        refused = self.history.refuses_release(ts, release)
        self.deployment, self.canary, self.held, self.overdue = deployment, None, None, False
        self.outstanding.drop("set-traffic", "promote")
        share = deployment.canary_percent
        self.history = self.history.deployed(ts, release)
        steps: list[Step] = [msgspec.structs.replace(self.history.changes[-1], percent=share)]
        if share is None or self.plan is None:
            self.watch.observe_deployment(deployment)
            return steps
        self.watch.observe_deployment(deployment, _by_plan(self.watch.config, self.plan))
        previous = self.history.way_back(release, deployment.previous)
        self.canary, action = start(release, previous, ts, self.plan, refused)
        if action is None:
            return [*steps, _changed(self.canary, ts, "tidegate")]
        return [*steps, self.outstanding.ask(action, ts)]

    def _follow(self, ts: int, verdict: Verdict | None) -> list[Step]:
        """What the verdict, or the time, brings about."""
        self.newest = max(self.newest, ts)
        canary, judge = self.canary, self.watch.judge
        if canary is None or not canary.walking:
            steps = self._judged(ts, verdict)
        else:
            if verdict is None and judge is not None and canary.over(ts):
                verdict = judge.current()
            harmful = verdict is not None and verdict.verdict == "rollback"
            refusal = self.history.refuses_rollback(ts) if harmful and canary.alone else None
            steps = self._walk(
                Observed(ts, verdict) if refusal is None else Ordered(ts, "pause", "tidegate", refusal)
            )
        return [*steps, *self.outstanding.again(ts, self.watch.config.timeout_ms)]

    def _walk(self, event: CanaryEvent) -> list[Step]:
        before = self.canary
        assert before is not None  # noqa: S101
        self.canary, action = advance(before, event)
        steps: list[Step] = []
        if self.canary.walking and self.canary.phase != before.phase:
            by = event.by if isinstance(event, Ordered) else "tidegate"
            steps.append(_changed(self.canary, event.ts, by))
        if action is None or self.outstanding.wants(action.action):
            return steps
        if not self.canary.walking:
            self.watch.end(good=self.canary.phase == "promoted")
            self.outstanding.drop("set-traffic", "promote")
        return [*steps, self.outstanding.ask(action, event.ts)]

    def _judged(self, ts: int, verdict: Verdict | None) -> list[Step]:
        """Without a plan: a final verdict is followed at once."""
        deployment = self.deployment
        if deployment is None:
            return []
        if verdict is None:
            return self._overdue(ts)
        key, release, why = f"{deployment.release}@{deployment.ts}", deployment.release, verdict.reason
        if verdict.verdict == "rollback":
            refusal = None if self._beside(release) else self.history.refuses_rollback(ts)
            if refusal is not None:
                return [_held(ts, release, "tidegate", f"{refusal}; {why}")]
            return [self._roll_back(f"{key}/rollback", release, ts, why)]
        if deployment.canary_percent is None:
            return [self._promoted(ts, release, "tidegate", why)]
        action = CanaryAction(f"{key}/promote", Promote(release=release), why)
        return [self.outstanding.ask(action, ts)]

    def _overdue(self, ts: int) -> list[Step]:
        """Say once that a verdict is overdue, and what it waits for."""
        judge = self.watch.judge
        if judge is None or self.overdue or not self.watch.open:
            return []
        self.overdue = ts - judge.started_at >= judge.config.timeout_ms
        return [_held(ts, judge.release, "tidegate", judge.current().reason)] if self.overdue else []

    def _roll_back(self, key: str, release: str, ts: int, why: str, by: str = "tidegate") -> CanaryAction:
        self.watch.end(good=False)
        known = self.deployment
        previous = known.previous if known is not None and known.release == release else None
        action = Rollback(release=release, to=self.history.way_back(release, previous))
        return self.outstanding.ask(CanaryAction(key, action, why, by), ts)

    def _promoted(self, ts: int, release: str, by: str, why: str) -> Change:
        self.history = self.history.promoted(ts, release, by, why)
        return self.history.changes[-1]

    def _confirm(self, at: int) -> None:
        """The platform has set the traffic that was asked for last."""
        if self.canary is None or not self.canary.walking:
            return
        verdict = self.watch.judge.current() if self.watch.judge is not None else None
        self.canary, _ = advance(self.canary, Confirmed(at, self.canary.step, verdict))
        if self.canary.alone:
            self.watch.observe_alone(self.canary.since)

    def _beside(self, release: str) -> bool:
        """Whether a control runs beside `release`."""
        if self.canary is not None and self.canary.release == release:
            return not self.canary.confirmed or self.canary.plan.steps[self.canary.step] < 100
        known = self.deployment
        return known is not None and known.release == release and known.canary_percent is not None


def _by_plan(config: JudgeConfig, plan: CanaryPlan) -> JudgeConfig:
    """How a canary with a plan is judged: the plan promotes it, unless that is `eager`. Half of the error is
    for the time beside a control, half for the time alone."""
    wait = "continue" if config.on_timeout == "promote" else config.on_timeout
    config = msgspec.structs.replace(config, error=config.error / 2, on_timeout=wait)
    if plan.eager:
        return config
    return msgspec.structs.replace(config, bake_steps=_NEVER, term_steps=None)


def _changed(canary: Canary, ts: int, by: str) -> Change:
    """A line that tells the canary's phase."""
    share = canary.percent if canary.confirmed else None
    how: Literal["paused", "resumed"] = "paused" if canary.phase == "paused" else "resumed"
    return Change(ts=ts, release=canary.release, how=how, by=by, reason=canary.why, percent=share)


def _held(ts: int, release: str, by: str, why: str) -> Change:
    return Change(ts=ts, release=release, how="held", by=by, reason=why)
