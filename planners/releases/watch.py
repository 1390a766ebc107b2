"""The watch on one target: its recent past, and the judge of the release that is in question."""

import math

import msgspec

from planners.releases.baseline import BeforeAfterTest
from planners.releases.config import Arm, JudgeConfig, Mode
from planners.releases.judge import ReleaseJudge
from planners.releases.placebo import MOST_HISTORY
from planners.releases.verdict import Verdict
from schemas import Deployment

_RECOVERY = 60


class TargetWatch(msgspec.Struct):
    """Remembers the target's gauges, so that a deployment can be judged against the time before it.

    Feed it every sample of the target's release metrics, whether a release is in question or not. While one
    is, its samples do not count as the past; once it is promoted, they do. After a rollback they count again
    when they are back where the past had them, or after `_RECOVERY` ticks.

    >>> watch = TargetWatch()
    >>> for minute in range(60):
    ...     _ = watch.observe_value(60_000 * minute, None, "error_rate", 0.005 + 0.001 * (minute % 3))
    >>> watch.observe_deployment(Deployment(target="shop", release="v2", ts=3_600_000, previous="v1"))
    >>> for minute in range(60, 70):
    ...     verdict = watch.observe_value(60_000 * minute, None, "error_rate", 0.05)
    ...     if verdict:
    ...         print(verdict.verdict, minute - 60)
    rollback 2
    """

    config: JudgeConfig = JudgeConfig()
    past: dict[str, list[float]] = msgspec.field(default_factory=dict)
    since: dict[str, list[float]] = msgspec.field(default_factory=dict)
    judge: ReleaseJudge | None = None
    recovering: dict[str, int] = msgspec.field(default_factory=dict)
    previous: str | None = None
    way_back: str | None = None

    @property
    def open(self) -> bool:
        """Whether a release is being judged, without a verdict yet."""
        return self.judge is not None and self.judge.verdict is None

    def observe_deployment(self, deployment: Deployment, config: JudgeConfig | None = None) -> None:
        """Open the judgement of a release, by `config` or the watch's own; one still open is superseded.

        With `canary_percent` there is a control to compare with; without it the past is the control.
        A deployment that is being judged or was promoted changes nothing, nor does the return to what
        ran before a release that was rolled back: that is the cure, and must not be undone in turn.
        """
        judge = self.judge
        if judge is not None and judge.release == deployment.release:
            again = judge.verdict is not None and judge.verdict.verdict == "rollback"
            if not again or deployment.ts <= judge.started_at:
                return
        if self.way_back is not None and self.way_back == deployment.release:
            return
        self.previous, self.way_back = deployment.previous, None
        mode: Mode = "before-after" if deployment.canary_percent is None else "control"
        self._begin(deployment.release, deployment.ts, config or self.config, mode)

    def observe_alone(self, ts: int) -> None:
        """From `ts` (Unix ms) the release has all the traffic: it is judged anew, against the time before."""
        if self.judge is not None and self.judge.mode == "control":
            self._begin(self.judge.release, ts, self.judge.config, "before-after")

    def _begin(self, release: str, ts: int, config: JudgeConfig, mode: Mode) -> None:
        self.since = {}
        before = dict(self.past) if mode == "before-after" else None
        self.judge = ReleaseJudge.begin(release, ts, config, mode=mode, before=before)

    def observe_count(
        self, ts: int, arm: Arm | None, metric: str, count: float, total: float, *, short: bool = False
    ) -> Verdict | None:
        """Take `count` of `total` events of the arm at `ts`; without a control their ratio is a gauge."""
        judge = self.judge
        if judge is None or judge.verdict is not None or judge.mode == "before-after":
            return self.observe_value(ts, arm, metric, count / total if total > 0 else None, short=short)
        if arm == "control" and total > 0:
            _remember(self.past, metric, count / total)
        if arm is None or ts < judge.started_at:
            return None
        return self._settle(judge.observe_count(ts, arm, metric, count, total))

    def observe_value(
        self, ts: int, arm: Arm | None, metric: str, value: float | None, *, short: bool = False
    ) -> Verdict | None:
        """Take one tick of a gauge at `ts` (Unix ms); `arm` None where the samples do not tell arms apart.

        `short` says that the target had too few replicas for its load (`joint.short_of_replicas`): without a
        control such a tick is left out, since a late scale-up is not the release's fault. Beside a control,
        samples that do not tell the arms apart say nothing.
        Returns the final verdict when this tick brings it.
        """
        judge = self.judge if self.open else None
        beside = judge is not None and judge.mode == "control"
        if short and not beside:
            if judge is not None:
                judge.leave_out(metric)
            return None
        if value is not None and math.isfinite(value):
            if judge is not None and not beside and arm != "control":
                _remember(self.since, metric, value)
            elif arm == "control" or not (beside or arm == "canary" or self._recovers(metric, value)):
                _remember(self.past, metric, value)
        if judge is None or ts < judge.started_at or (beside and arm is None):
            return None
        return self._settle(judge.observe_value(ts, arm or "canary", metric, value))

    def advance(self, now: int) -> Verdict | None:
        """Let time pass to `now` (Unix ms); returns the final verdict when the timeout brings it."""
        return self._settle(self.judge.advance(now)) if self.judge is not None else None

    def end(self, *, good: bool) -> None:
        """A person, or the canary's plan, has decided on the release: it stays (`good`), or goes."""
        if not good:
            self.recovering = dict.fromkeys(self.since, _RECOVERY)
            self.way_back = self.previous
        else:
            for metric, values in self.since.items():
                for value in values:
                    _remember(self.past, metric, value)
        self.since = {}
        if self.open:
            self.judge = None

    def to_bytes(self) -> bytes:
        """The watch as msgpack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "TargetWatch":
        """The watch that `to_bytes` wrote.

        Raises:
            msgspec.ValidationError: the bytes are not a watch; the text names the path.
        """
        return msgspec.msgpack.decode(data, type=cls)

    def _settle(self, verdict: Verdict | None) -> Verdict | None:
        """A promoted release's samples become the past; those of a bad one are forgotten."""
        if verdict is not None:
            self.end(good=verdict.verdict == "promote")
        return verdict

    def _recovers(self, metric: str, value: float) -> bool:
        """Whether the tick still shows the release that was rolled back, which takes its time."""
        left = self.recovering.pop(metric, 0)
        watched = self.judge.metrics.get(metric) if self.judge is not None else None
        if not left or watched is None or not isinstance(watched.test, BeforeAfterTest):
            return False
        sign = 1.0 if watched.spec.harm == "up" else -1.0
        if sign * value <= watched.test.past.high:
            return False
        self.recovering[metric] = left - 1
        return True


def _remember(memory: dict[str, list[float]], metric: str, value: float) -> None:
    values = memory.setdefault(metric, [])
    values.append(value)
    if len(values) > MOST_HISTORY:
        del values[: len(values) - MOST_HISTORY]
