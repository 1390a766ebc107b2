"""A simulated service: replicas with a start-up time, releases that may be bad, and an account of both.

Event time and load are given from outside, so a week passes in a second and every run with the same
seed is the same.
"""

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np

from actuators.accounting import Account, Meter
from actuators.errors import NotSupported, Refused, UnknownTarget
from actuators.port import Applied
from actuators.queueing import latency
from actuators.service_sample import ArmSample, Release, ServiceSample
from schemas import Command, Promote, Rollback, Scale, SetTraffic

__all__ = ["ArmSample", "Release", "ServiceConfig", "ServiceSample", "SimulatedService"]


@dataclass(slots=True)
class _Starting:
    """`count` replicas that serve from `ready_at` (Unix ms) on."""

    ready_at: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceConfig:
    """`capacity` is the load one replica serves, in requests per second where counts are to make sense.

    `max_replicas` is the platform's quota (None: none). The good release answers in `median_ms` and `p99_ms`
    without queueing, with `error_rate`; a bad one has `bad_error_rate` and is slower by `bad_slowdown`.
    """

    capacity: float
    startup_s: float = 120.0
    replicas: int = 1
    max_replicas: int | None = None
    release: str = "v1"
    error_rate: float = 0.002
    bad_error_rate: float = 0.08
    median_ms: float = 40.0
    p99_ms: float = 180.0
    bad_slowdown: float = 1.6
    timeout_ms: float = 10_000.0


class SimulatedService:
    """One target. `executions` counts, by command id, how often a command reached it."""

    name = "simulated"
    kinds = frozenset({"scale", "rollback", "promote", "set-traffic"})
    repeatable = True  # every action sets a state, none adds to one

    def __init__(self, target: str, config: ServiceConfig, *, rng: np.random.Generator) -> None:
        self.target = target
        self.executions: Counter[str] = Counter()
        self._config = config
        self._rng = rng
        self._wanted = config.replicas
        self._paid = config.replicas
        self._running = config.replicas
        self._starting: list[_Starting] = []
        self._releases = [self._release(config.release, 0, bad=False)]
        self._canary: tuple[Release, float] | None = None
        self._meter = Meter(config.capacity)
        self._open: ServiceSample | None = None
        self._warm_up: ServiceSample | None = None
        self._span_ms = 0

    # --- driven from outside -------------------------------------------------------------------

    def tick(self, ts: int, load: float) -> ServiceSample:
        """Close the interval before, let what was asked for take effect, and open the interval from `ts`.

        Raises:
            ValueError: `ts` (Unix ms) does not ascend, or `load` is negative or not finite.
        """
        if self._open is not None and ts <= self._open.ts:
            raise ValueError(f"tick at {ts} after one at {self._open.ts}: event time must ascend")
        if not (math.isfinite(load) and load >= 0):
            raise ValueError(f"load {load} at {ts}: expected a finite number of at least 0")
        self._close(ts)
        self._reconcile(ts)
        self._open = self._observe(ts, load)
        return self._open

    def deploy(self, release: str, ts: int, *, bad: bool = False, percent: float | None = None) -> None:
        """Put `release` into production at `ts`; with `percent` as a canary beside the one that runs."""
        new = self._release(release, ts, bad=bad)
        if percent is None:
            self._releases.append(new)
            self._canary = None
        else:
            self._canary = (new, percent)

    def account(self) -> Account:
        """Figures since the last `restart_account`; the open interval counts as long as the one before."""
        meter = self._meter
        if self._open is None or self._open is self._warm_up:
            return meter.account()
        copy = Meter(**{name: getattr(meter, name) for name in Meter.__slots__})
        self._add(copy, self._open, self._span_ms)
        return copy.account()

    def restart_account(self) -> None:
        """Count from the next interval on: what came before was warm-up."""
        self._meter = Meter(self._config.capacity)
        self._warm_up = self._open

    @property
    def release(self) -> str:
        """The release that has production, a canary aside."""
        return self._releases[-1].name

    # --- the actuator's port --------------------------------------------------------------------

    async def apply(self, command: Command) -> Applied:
        """Take `command` in; it takes effect at the next tick. See `Actuator.apply` for the errors."""
        self._must_be_here(command.target)
        if command.kind not in self.kinds:
            raise NotSupported(f"the simulated service cannot {command.kind}")
        applied = self._carry_out(command)
        self.executions[command.id] += 1
        return applied

    async def replicas(self, target: str) -> int:
        """The desired count. See `Actuator.replicas` for the errors."""
        self._must_be_here(target)
        return self._wanted

    async def close(self) -> None:
        """Nothing to release."""

    # --- inside ---------------------------------------------------------------------------------

    def _must_be_here(self, target: str) -> None:
        if target != self.target:
            raise UnknownTarget(f"no service {target!r} here; there is {self.target!r}")

    def _carry_out(self, command: Command) -> Applied:
        match command.action:
            case Scale(replicas=replicas):
                return self._scale(replicas)
            case Rollback(release=release, to=to):
                return self._roll_back(release, to)
            case Promote(release=release):
                return self._promote(release)
            case SetTraffic(release=release, percent=percent):
                return self._shift(release, percent)
            case _:
                raise NotSupported(f"the simulated service cannot {command.kind}")

    def _scale(self, replicas: int) -> Applied:
        limit = self._config.max_replicas
        if replicas < 0 or (limit is not None and replicas > limit):
            raise Refused(f"{replicas} replicas are outside the quota 0..{'∞' if limit is None else limit}")
        before, self._wanted = self._wanted, replicas
        return Applied(detail=f"{self.target}: {before} -> {replicas} replicas", changed=before != replicas)

    def _roll_back(self, release: str, to: str | None) -> Applied:
        if self._canary is not None and self._canary[0].name == release:
            self._canary = None
            return Applied(detail=f"{self.target}: canary {release} withdrawn", changed=True)
        if self.release != release:
            return Applied(
                detail=f"{self.target}: {release} is not in production, {self.release} is", changed=False
            )
        earlier = [
            known for known in reversed(self._releases) if known.name != release and to in (None, known.name)
        ]
        if not earlier:
            raise Refused(f"{self.target}: there is no release {to or 'before ' + release} to go back to")
        self._releases.append(earlier[0])
        return Applied(detail=f"{self.target}: rolled back from {release} to {earlier[0].name}", changed=True)

    def _promote(self, release: str) -> Applied:
        if self._canary is None or self._canary[0].name != release:
            if self.release == release:
                return Applied(detail=f"{self.target}: {release} has all the traffic already", changed=False)
            raise Refused(f"{self.target}: {release} is not a canary here")
        self._releases.append(self._canary[0])
        self._canary = None
        return Applied(detail=f"{self.target}: {release} promoted, it has all the traffic", changed=True)

    def _shift(self, release: str, percent: float) -> Applied:
        if self._canary is None or self._canary[0].name != release:
            if self.release == release and percent == 100:
                return Applied(detail=f"{self.target}: {release} has all the traffic already", changed=False)
            raise Refused(f"{self.target}: {release} is not a canary here")
        before = self._canary[1]
        self._canary = (self._canary[0], percent)
        detail = f"{self.target}: {release} {before:g} % -> {percent:g} % of the traffic"
        return Applied(detail=detail, changed=before != percent)

    def _release(self, name: str, since: int, *, bad: bool) -> Release:
        config = self._config
        slower = config.bad_slowdown if bad else 1.0
        return Release(
            name=name,
            since=since,
            error_rate=config.bad_error_rate if bad else config.error_rate,
            median_ms=config.median_ms * slower,
            p99_ms=config.p99_ms * slower,
        )

    def _close(self, ts: int) -> None:
        if self._open is not None:
            self._span_ms = ts - self._open.ts
            if self._open is not self._warm_up:
                self._add(self._meter, self._open, self._span_ms)

    @staticmethod
    def _add(meter: Meter, sample: ServiceSample, span_ms: int) -> None:
        meter.add(sample.ts, span_ms, sample.load, sample.paid, sample.ready)

    def _reconcile(self, ts: int) -> None:
        more = self._wanted - self._paid
        if more > 0:
            self._starting.append(_Starting(ts + round(self._config.startup_s * 1000), more))
        while more < 0 and self._starting:  # those still starting go first, the youngest of them first
            youngest = self._starting[-1]
            cut = min(youngest.count, -more)
            youngest.count -= cut
            more += cut
            if youngest.count == 0:
                self._starting.pop()
        self._running += min(more, 0)
        self._paid = self._wanted
        while self._starting and self._starting[0].ready_at <= ts:
            self._running += self._starting.pop(0).count

    def _observe(self, ts: int, load: float) -> ServiceSample:
        room = self._running * self._config.capacity
        served = min(load, room)
        utilisation = served / room if room > 0 else 0.0
        seconds = (self._span_ms or 1000) / 1000
        arms = tuple(
            self._arm(release, percent, served * seconds, utilisation) for release, percent in self._traffic()
        )
        requests = sum(arm.requests for arm in arms)
        errors = sum(arm.errors for arm in arms)
        main = max(arms, key=lambda arm: arm.percent)
        return ServiceSample(
            ts=ts,
            load=load,
            ready=self._running,
            paid=self._paid,
            served=served,
            unserved=load - served,
            utilisation=utilisation,
            requests=requests,
            errors=errors,
            error_rate=errors / requests if requests else 0.0,
            latency_p50_ms=sum(arm.latency_p50_ms * arm.percent for arm in arms) / 100,
            latency_p99_ms=max(arm.latency_p99_ms for arm in arms if arm.percent > 0),
            release=main.release,
            arms=arms,
        )

    def _traffic(self) -> list[tuple[Release, float]]:
        if self._canary is None:
            return [(self._releases[-1], 100.0)]
        canary, percent = self._canary
        return [(self._releases[-1], 100.0 - percent), (canary, percent)]

    def _arm(self, release: Release, percent: float, requests: float, utilisation: float) -> ArmSample:
        count = round(requests * percent / 100)
        errors = int(self._rng.binomial(count, release.error_rate))
        noise = math.exp(self._rng.normal(0.0, 0.03))
        p50, p99 = latency(release.median_ms, release.p99_ms, utilisation, self._running)
        limit = self._config.timeout_ms
        return ArmSample(
            release=release.name,
            percent=percent,
            requests=count,
            errors=errors,
            latency_p50_ms=min(p50 * noise, limit),
            latency_p99_ms=min(p99 * noise, limit),
        )
