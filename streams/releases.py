"""The releases of one target on the topics: commands and the audit out of what the planner decides."""

from collections.abc import Sequence

import msgspec

from planners.releases import CanaryAction, Change, Rollout, RolloutConfig, Seen, Step
from planners.releases.rollout import Fate
from schemas import Command, Deployment, Outcome, ReleaseChange, ReleaseOrder, Scale
from streams.config import TargetConfig
from streams.features import Enabled, by_default
from streams.order import Moment
from streams.output import Output, output
from streams.pairing import Pairing

_FATES: dict[str, Fate] = {"executed": "done", "dry-run": "dry-run"}


class ReleaseState(msgspec.Struct, kw_only=True):
    """Everything remembered of a target's releases, as plain data."""

    rollout: Rollout
    pairing: Pairing = msgspec.field(default_factory=Pairing)


class Releases:
    """Follows one target's releases. `enabled` tells which of the pipeline's new features are on."""

    def __init__(
        self, target: TargetConfig, state: ReleaseState | None = None, enabled: Enabled = by_default
    ) -> None:
        assert target.release is not None  # noqa: S101
        self._name = target.name
        self._enabled = enabled
        self._ttl_ms = int(target.command_ttl_s * 1000)
        self._specs = target.release.metrics
        self._load = target.load
        config = RolloutConfig(judge=target.release, canary=target.canary, history=target.rollbacks)
        self.state = state or ReleaseState(rollout=Rollout.begin(config))
        self.state.rollout.configure(config)

    def deployed(self, deployment: Deployment, now_ms: int) -> list[Output]:
        """A release reached the target."""
        return self._out(self.state.rollout.deployed(deployment), deployment.ts, now_ms)

    def order(self, order: ReleaseOrder, now_ms: int) -> list[Output]:
        """A person said what to do with the release."""
        steps = self.state.rollout.order(order)
        return self._out(steps, max(order.ts, self.state.rollout.newest + 1), now_ms)

    def sample(self, moment: Moment, metric: str, now_ms: int, *, short: bool) -> list[Output]:
        """A sample of `metric` came; `short`: the target had too few replicas for its load."""
        outputs = []
        for seen in self.state.pairing.take(moment, metric, self._specs):
            outputs += self._out(self._observe(seen, short), seen.ts, now_ms)
        return outputs

    def _observe(self, seen: Seen, short: bool) -> list[Step]:
        return self.state.rollout.observe(seen, short=short)

    def advance(self, ts: int, now_ms: int) -> list[Output]:
        """Time is `ts` (Unix ms), without a sample."""
        return self._out(self.state.rollout.advance(ts), ts, now_ms)

    def allowed(self, scale: Scale, ts: int) -> tuple[Scale | None, list[Output]]:
        """The scaling that may be carried out, and what to tell of it."""
        if not self._enabled("hold-failing-release", self._name):
            return scale, []
        allowed, changes = self.state.rollout.allowed(scale, ts)
        return allowed, [self._change(change) for change in changes]

    def settled(self, outcome: Outcome, now_ms: int) -> list[Output]:
        """Learn what became of a command."""
        prefix = f"{self._name}:{outcome.kind}:"
        if outcome.status == "duplicate" or not outcome.command.startswith(prefix):
            return []
        key, fate = outcome.command.removeprefix(prefix), _FATES.get(outcome.status, "not-done")
        detail = f"{outcome.status}: {outcome.detail}"
        steps = self.state.rollout.settled(key, fate, detail, outcome.at)
        return self._out(steps, outcome.at, now_ms)

    def _out(self, steps: Sequence[Step], ts: int, now_ms: int) -> list[Output]:
        return [
            self._command(step, ts, now_ms) if isinstance(step, CanaryAction) else self._change(step)
            for step in steps
        ]

    def _command(self, step: CanaryAction, ts: int, now_ms: int) -> Output:
        # What is decided late, on samples from before an outage, is as true as it was: it may still be done.
        due = ts if ts + self._ttl_ms > now_ms else now_ms
        command = Command(
            id="", target=self._name, sequence=ts, action=step.action, reasons=[step.reason], issued_at=ts,
            expires_at=due + self._ttl_ms,
        )  # fmt: skip
        command = msgspec.structs.replace(command, id=f"{self._name}:{command.kind}:{step.key}")
        return output("commands", self._name, command)

    def _change(self, change: Change) -> Output:
        message = ReleaseChange(
            id=f"{self._name}:{change.how}:{change.release}@{change.ts}",
            target=self._name,
            ts=change.ts,
            release=change.release,
            what=change.how,
            by=change.by,
            reason=change.reason,
            to=change.to,
            percent=change.percent,
        )
        return output("releases", self._name, message)
