"""The judge of one release: observations in, at most one final verdict out."""

import math

import msgspec

from planners.releases.baseline import BeforeAfterTest
from planners.releases.batch import Batch
from planners.releases.combine import discovered, loudest, separately, summed
from planners.releases.config import Arm, Decision, JudgeConfig, Kind, MetricSpec, Mode
from planners.releases.port import CONTROL_TESTS, Test
from planners.releases.steps import Step, Steps
from planners.releases.verdict import MetricVerdict, Verdict
from planners.releases.watched import Watched

# Of the error budget, what is kept back for metrics that first report after the first step.
_RESERVE = 0.05
_FORMS: dict[Kind, str] = {"rate": "count and total", "values": "values", "gauge": "one value"}


class ReleaseJudge(msgspec.Struct):
    """Judges one release on one target.

    In mode "control" each step compares the canary with the control that ran beside it. In mode
    "before-after" there is no control: gauges are compared with `before`, their values before the release.

    `observe_*` and `advance` return the final `Verdict` when it is reached and None otherwise, also
    after it; `current` returns the state of the matter at any time. `observe_*` raise ValueError where a
    metric's observations change their form, or are not of its configured kind. The judge is plain data:
    `to_bytes` and `from_bytes` carry it over restarts, and the same observations give the same verdict.

    >>> judge = ReleaseJudge.begin("v2", 0)
    >>> for minute in range(9):
    ...     _ = judge.observe_count(60_000 * minute, "control", "errors", 19, 3800)
    ...     verdict = judge.observe_count(60_000 * minute, "canary", "errors", 5, 200)
    ...     if verdict:
    ...         print(verdict.verdict, verdict.metric, verdict.ts)
    >>> judge.current().verdict
    'rollback'
    """

    release: str
    started_at: int
    mode: Mode
    config: JudgeConfig
    steps: Steps
    metrics: dict[str, Watched] = msgspec.field(default_factory=dict)
    kinds: dict[str, Kind] = msgspec.field(default_factory=dict)
    before: dict[str, list[float]] = msgspec.field(default_factory=dict)
    reserve: float = 1.0
    judged: int = 0
    now: int = 0
    verdict: Verdict | None = None

    @classmethod
    def begin(
        cls,
        release: str,
        started_at: int,
        config: JudgeConfig | None = None,
        mode: Mode = "control",
        before: dict[str, list[float]] | None = None,
    ) -> "ReleaseJudge":
        """A judge for `release`, deployed at `started_at` (Unix ms).

        `before` holds, for mode "before-after", each gauge's values before the release, oldest first, one per
        tick; the ticks after it should be as far apart.
        """
        config = config or JudgeConfig()
        steps = Steps(width=config.step_ms)
        return cls(release, started_at, mode, config, steps, before=before or {}, now=started_at)

    def observe_count(self, ts: int, arm: Arm, metric: str, count: float, total: float) -> Verdict | None:
        """Take `count` events of `total` requests, or per exposure `total`, of one arm at `ts` (Unix ms)."""
        return self._observe(ts, arm, metric, "rate", Batch(float(count), float(total)))

    def observe_values(self, ts: int, arm: Arm, metric: str, values: list[float]) -> Verdict | None:
        """Take single measurements of one arm at `ts`; not-a-numbers are missing values."""
        kept = tuple(float(value) for value in values if math.isfinite(value))
        return self._observe(ts, arm, metric, "values", Batch(values=kept))

    def observe_value(self, ts: int, arm: Arm, metric: str, value: float | None) -> Verdict | None:
        """Take one tick of a gauge; None and not-a-number are a missing tick."""
        kept = () if value is None or not math.isfinite(value) else (float(value),)
        return self._observe(ts, arm, metric, "gauge", Batch(values=kept))

    def leave_out(self, metric: str) -> None:
        """Note that a tick of `metric` says nothing about the release: the target was short of replicas."""
        if self.verdict is None and metric in self.metrics:
            self.metrics[metric].left_out += 1

    def advance(self, now: int) -> Verdict | None:
        """Let time pass to `now` (Unix ms): closes a step that is over, minds the timeout."""
        if self.verdict is not None:
            return None
        self.now = max(self.now, now)
        step = self.steps.close() if self.steps.due(now) else None
        return self._judge(step) or self._time_out()

    def finish(self) -> Verdict:
        """The verdict at the end of all input: the open step is judged too."""
        if self.verdict is None:
            self._judge(self.steps.close())
        return self.current()

    def current(self) -> Verdict:
        """The final verdict where there is one, else "continue" with what is missing for one."""
        if self.verdict is not None:
            return self.verdict
        return self._verdict("continue", self._loudest(), self._waiting_for(), final=False)

    def to_bytes(self) -> bytes:
        """The judge as msgpack."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> "ReleaseJudge":
        """The judge that `to_bytes` wrote.

        Raises:
            msgspec.ValidationError: the bytes are not a judge; the text names the path.
        """
        return msgspec.msgpack.decode(data, type=cls)

    def _observe(self, ts: int, arm: Arm, metric: str, kind: Kind, batch: Batch) -> Verdict | None:
        if self.verdict is not None:
            return None
        spec = self.config.spec(metric, kind)
        if spec is None:
            return None
        known = self.kinds.setdefault(metric, kind)
        if known != kind:
            raise ValueError(
                f"metric {metric} came as {_FORMS[known]} before and comes as {_FORMS[kind]} now"
            )
        self.now = max(self.now, ts)
        if self.mode == "before-after":
            if arm == "control":
                return None
            return self._judge(Step(ts, {arm: {metric: batch}})) or self._time_out()
        return self._judge(self.steps.add(ts, arm, metric, batch)) or self._time_out()

    def _judge(self, step: Step | None) -> Verdict | None:
        """Learn a finished step and decide."""
        if step is None or self.verdict is not None:
            return None
        self._admit(step)
        for name, watched in self.metrics.items():
            canary = step.of("canary", name)
            if self.mode == "control":
                watched.learn_pair(step.of("control", name), canary)
            elif canary is not None:
                watched.learn_after(canary)
        self.judged += 1
        return self._decide(step.ts)

    def _admit(self, step: Step) -> None:
        """Give metrics seen for the first time a share of the error budget that is still free."""
        reported = step.metrics()
        listed = {spec.name: spec for spec in self.config.metrics}
        names = sorted(reported.keys() - self.metrics.keys())
        if not self.metrics:
            names = sorted({*names, *listed, *self.before})
        specs = []
        for name in names:
            kind = self.kinds.get(name) or ("gauge" if name in self.before else None)
            spec = listed.get(name) if kind is None else self.config.spec(name, kind)
            if spec is not None:
                specs.append(spec)
        if not specs:
            return
        closed = self.config.only_listed and not self.metrics
        free = self.reserve * (1.0 if closed else 1 - _RESERVE if not self.metrics else 0.5)
        weight = sum(spec.weight for spec in specs)
        for spec in specs:
            self.metrics[spec.name] = Watched(spec, free * spec.weight / weight, self._test(spec))
        self.reserve -= free

    def _test(self, spec: MetricSpec) -> Test:
        margin = self.config.term_margin
        if self.mode == "before-after":
            return BeforeAfterTest.of(spec, margin, self.before.get(spec.name, []))
        return CONTROL_TESTS[spec.kind](spec, margin)

    def _decide(self, ts: int) -> Verdict | None:
        if max((watched.steps for watched in self.metrics.values()), default=0) < self.config.min_steps:
            return None
        evidence = {name: watched.test.log_harm() for name, watched in self.metrics.items()}
        if self._harmed(evidence):
            worst = self._loudest()
            reason = self.metrics[str(worst)].harm_reason(self.config.error)
            return self._end("rollback", worst, reason, ts)
        if self._baked() and all(self._safe(watched, 0) for watched in self.metrics.values()):
            bound = "every metric is shown to stay within its margin"
            return self._end("promote", self._loudest(), f"promote: {bound} ({self._summary()})", ts)
        term = self.config.term_steps
        if term is not None and all(watched.steps >= term for watched in self.metrics.values()):
            fine = all(self._safe(watched, 1) for watched in self.metrics.values())
            if fine and not self._suspected(evidence):
                words = f"{term} steps without a sign of harm, each metric bounded by the term margin"
                return self._end("promote", self._loudest(), f"promote: {words} ({self._summary()})", ts)
        return None

    def _baked(self) -> bool:
        """Whether every metric was seen long enough for harm that takes its time to show."""
        return all(watched.steps >= self.config.bake_steps for watched in self.metrics.values())

    def _harmed(self, evidence: dict[str, float]) -> bool:
        """Whether the must-not-fail metrics together, or half of all weight, show harm."""
        error = self.config.error
        shares = {name: watched.share for name, watched in self.metrics.items()}
        vital = {name for name, watched in self.metrics.items() if watched.spec.must_not_fail}
        certain = {name: value for name, value in evidence.items() if name in vital}
        other = {name: value for name, value in evidence.items() if name not in vital}
        by_p = self.mode == "before-after"
        if certain and (loudest if by_p else summed)(certain, shares) >= -math.log(error):
            return True
        found = (separately if by_p else discovered)(other, shares, error)
        weights = {name: watched.spec.weight for name, watched in self.metrics.items()}
        return bool(found) and sum(weights[name] for name in found) >= sum(weights.values()) / 2

    def _loudest(self) -> str | None:
        """The metric with the most evidence of harm for its share; None before any was observed."""
        scores = {
            name: watched.test.log_harm() + math.log(watched.share) for name, watched in self.metrics.items()
        }
        return max(scores, key=lambda name: (scores[name], name), default=None)

    def _suspected(self, evidence: dict[str, float]) -> bool:
        """Whether any metric's evidence speaks for harm at all; without harm it falls with time."""
        return any(value > 0 for value in evidence.values())

    def _safe(self, watched: Watched, index: int) -> bool:
        if watched.steps < self.config.min_steps:
            return False
        return watched.test.log_safe(index) >= -math.log(self.config.promote_error)

    def _time_out(self) -> Verdict | None:
        waited = self.now - self.started_at
        if (
            self.verdict is not None
            or self.config.on_timeout == "continue"
            or waited < self.config.timeout_ms
        ):
            return None
        words = f"no verdict {waited // 60_000} min after the start; the default on timeout is"
        reason = f"{self.config.on_timeout}: {words} {self.config.on_timeout} ({self._waiting_for()})"
        return self._end(self.config.on_timeout, self._loudest(), reason, self.now)

    def _end(self, decision: Decision, metric: str | None, reason: str, ts: int) -> Verdict:
        self.verdict = self._verdict(decision, metric, reason, final=True, ts=ts)
        return self.verdict

    def _verdict(
        self, decision: Decision, metric: str | None, reason: str, *, final: bool, ts: int | None = None
    ) -> Verdict:
        return Verdict(
            release=self.release,
            ts=self.now if ts is None else ts,
            verdict=decision,
            metric=metric,
            reason=reason,
            final=final,
            per_metric=tuple(self._metric_verdict(name) for name in sorted(self.metrics)),
        )

    def _metric_verdict(self, name: str) -> MetricVerdict:
        watched = self.metrics[name]
        return watched.verdict(self.config.error, safe=self._safe(watched, 0))

    def _summary(self) -> str:
        parts = []
        for name in sorted(self.metrics):
            estimate = self.metrics[name].test.estimate(self.config.error)
            parts.append(f"{name} {self.metrics[name].test.words()}, ratio at most {estimate.upper:.3g}")
        return "; ".join(parts)

    def _waiting_for(self) -> str:
        """Why there is no verdict yet."""
        late = f"; {self.steps.late} observations came too late" if self.steps.late else ""
        waited = self.now - self.started_at
        over = ""
        if waited >= self.config.timeout_ms:
            over = f"no verdict {waited // 60_000} min after the start, the default on timeout is continue; "
        if not self.metrics:
            return f"continue: {over}nothing observed of both arms yet{late}"
        reasons = [self._metric_verdict(name).reason for name in sorted(self.metrics)]
        return f"continue: {over}{'; '.join(reasons)}{late}"
