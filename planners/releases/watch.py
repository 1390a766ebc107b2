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

    def observe_deployment(self, deployment: Deployment) -> None:
        """Open the judgement of a release; one that is still open is superseded.

        With `canary_percent` there is a control to compare with; without it the past is the control.
        A deployment that is already being judged (a replayed event) changes nothing, nor does the return to
        what ran before a release that was rolled back: that is the cure, and must not be undone in turn.
        """
        if self.judge is not None and self.judge.release == deployment.release:
            return
        if self.way_back is not None and self.way_back == deployment.release:
            return
        self.previous, self.way_back = deployment.previous, None
        mode: Mode = "before-after" if deployment.canary_percent is None else "control"
        self.since = {}
        self.judge = ReleaseJudge.begin(
            deployment.release, deployment.ts, self.config, mode=mode, before=dict(self.past)
        )

    def observe_value(
        self, ts: int, arm: Arm | None, metric: str, value: float | None, *, short: bool = False
    ) -> Verdict | None:
        """Take one tick of a gauge at `ts` (Unix ms); `arm` None where the samples do not tell arms apart.

        `short` says that the target had too few replicas for its load (`joint.short_of_replicas`): without a
        control such a tick is left out, since a late scale-up is not the release's fault.
        Returns the final verdict when this tick brings it.
        """
        if short and arm is None:
            if self.judge is not None:
                self.judge.leave_out(metric)
            return None
        open_judge = self.judge is not None and self.judge.verdict is None
        if value is not None and math.isfinite(value) and arm != "canary":
            if open_judge and arm is None:
                _remember(self.since, metric, value)
            elif not self._recovers(metric, value):
                _remember(self.past, metric, value)
        if self.judge is None or not open_judge or ts < self.judge.started_at:
            return None
        return self._settle(self.judge.observe_value(ts, arm or "canary", metric, value))

    def advance(self, now: int) -> Verdict | None:
        """Let time pass to `now` (Unix ms); returns the final verdict when the timeout brings it."""
        return self._settle(self.judge.advance(now)) if self.judge is not None else None

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
            if verdict.verdict == "rollback":
                self.recovering = dict.fromkeys(self.since, _RECOVERY)
                self.way_back = self.previous
            if verdict.verdict == "promote":
                for metric, values in self.since.items():
                    for value in values:
                        _remember(self.past, metric, value)
            self.since = {}
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
