"""Requests from histograms of several memories and of the hour of the day, weighted by how well each did."""

import math

import msgspec
import numpy as np

from planners.rightsizing.histogram import DecayingHistograms
from planners.rightsizing.values import Request

DAY_S = 86_400.0
SEASON_HALF_LIFE_S = 3 * DAY_S
AROUND = (0.25, 1.0, 0.5)  # shares of the hour before, the hour itself and the one after
SEASON_AFTER_H = 24.0
LONGEST_SAMPLE_S = 3_600.0  # a longer one says that nothing was told, not that the value was held


class SizingPolicyError(ValueError):
    """A sizing policy cannot be followed; the text names the field and what was expected."""


class SizingPolicy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How requests are chosen.

    `level` is the share of time that usage is to be covered: with a price for what is reserved and not used
    and a penalty for what is used and not reserved, penalty / (penalty + price). `interval_s` is the
    shortest time between two requests; one that is lower by less than `tolerance` is not worth a change.
    `half_lives_h` are the memories; `memory_h` is how far back each is
    judged, `sharpness` how much the better ones count. `caution` is the number of standard errors that are
    added to the level while the history is short. After an out-of-memory kill the request stays at least
    `oom_factor` times, and `oom_least` above, what was used, for `oom_hold_s`.
    """

    level: float = 0.96
    interval_s: float = 3_600.0
    tolerance: float = 0.1
    half_lives_h: tuple[float, ...] = (1.0, 6.0, 24.0, 96.0)
    memory_h: float = 72.0
    sharpness: float = 5.0
    caution: float = 1.0
    oom_factor: float = 1.2
    oom_least: float = 0.0
    oom_hold_s: float = 7 * DAY_S

    def __post_init__(self) -> None:
        if not 0.0 < self.level < 1.0:
            raise SizingPolicyError(f"level is {self.level}, expected a number between 0 and 1")
        if not self.half_lives_h or not all(0.0 < hours < math.inf for hours in self.half_lives_h):
            raise SizingPolicyError(f"half_lives_h are {self.half_lives_h}, expected positive numbers")
        for name in ("memory_h", "oom_factor"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise SizingPolicyError(f"{name} is {getattr(self, name)}, expected a positive number")
        for name in ("interval_s", "tolerance", "sharpness", "caution", "oom_least", "oom_hold_s"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise SizingPolicyError(f"{name} is {getattr(self, name)}, expected zero or more")


class MixtureSizer:
    """Learns one container's usage of one resource and answers its request.

    Each memory, and the same hour of the last days, offers the quantile `level` of its histogram. They are
    weighted by their pinball loss of late (prediction with expert advice; Vovk 1990, Littlestone and
    Warmuth 1994), so no memory has to be chosen by hand: a steady container gets a long one, one whose
    load moves within hours a short one, a nightly job the hour of the day. Never above the most ever used.
    """

    def __init__(self, policy: SizingPolicy) -> None:
        self.policy = policy
        memories = len(policy.half_lives_h)
        self._histograms = DecayingHistograms(
            [hours * 3_600.0 for hours in policy.half_lives_h] + [SEASON_HALF_LIFE_S] * 24
        )
        self._rows = np.arange(memories + 1)
        self._offers = np.zeros(memories + 1)
        self._losses = np.zeros(memories + 1)
        self._most = 0.0
        self._hours = 0.0
        self._last: float | None = None
        self._killed: tuple[float, float] | None = None  # when, and the request since
        self._request: Request | None = None

    @property
    def request(self) -> Request | None:
        """The request in force; None before the first sample."""
        return self._request

    def observe(self, ts: float, usage: float, duration_s: float) -> Request:
        """Learn the usage that was held for `duration_s` up to `ts` (Unix s); decide where it is time to.

        Usage that is not a finite number of zero or more is a missing sample: nothing changes.
        """
        if not 0.0 <= usage < math.inf:
            return self._request or self._decide(ts)
        held_s = min(max(duration_s, 0.0), LONGEST_SAMPLE_S)
        if self._request is not None:
            self._judge(ts, usage, held_s / 3_600.0)
        self._rows[-1] = len(self.policy.half_lives_h) + _hour(ts - held_s)
        self._histograms.add(self._rows, ts, usage, max(held_s, 1.0))
        self._most = max(self._most, usage)
        self._hours += held_s / 3_600.0
        self._last = ts
        if self._request is None or ts - self._request.ts >= self.policy.interval_s:
            self._request = self._worthwhile(self._decide(ts))
        return self._request

    def _worthwhile(self, wanted: Request) -> Request:
        """What is wanted, or what there is where the difference is not worth a change."""
        present = self._request
        if (
            present is None
            or not 0.0 <= present.value - wanted.value <= self.policy.tolerance * present.value
        ):
            return wanted
        return msgspec.structs.replace(wanted, value=present.value, upper=max(wanted.upper, present.value))

    def out_of_memory(self, ts: float, usage: float) -> Request:
        """The container was killed at `ts` for using `usage`: decide at once, with room to spare."""
        policy = self.policy
        need = max(policy.oom_factor * usage, usage + policy.oom_least)
        self._killed = (ts, max(need, self._killed[1] if self._killed else 0.0))
        self._most = max(self._most, usage)
        self._request = self._decide(ts)
        return self._request

    def _judge(self, ts: float, usage: float, hours: float) -> None:
        assert self._last is not None or self._killed is not None  # noqa: S101
        elapsed = ts - self._last if self._last is not None else 0.0
        short = np.maximum(usage - self._offers, 0.0)
        slack = np.maximum(self._offers - usage, 0.0)
        level = self.policy.level
        self._losses *= 2.0 ** (-max(elapsed, 0.0) / (self.policy.memory_h * 3_600.0))
        self._losses += (level * short + (1.0 - level) * slack) * hours

    def _decide(self, ts: float) -> Request:
        policy = self.policy
        error = math.sqrt(policy.level * (1.0 - policy.level) / max(self._hours, 1.0))
        value = self._mix(ts, min(policy.level + policy.caution * error, 1.0), keep=True)
        lower = self._mix(ts, policy.level - error)
        upper = self._mix(ts, min(policy.level + (policy.caution + 1.0) * error, 1.0))
        best = int(np.argmin(self._losses))
        memory = (
            f"a memory of {policy.half_lives_h[best]:g} h"
            if best < len(policy.half_lives_h)
            else "the same hour of the last days"
        )
        reason = f"quantile {policy.level:g}, most weight on {memory}"
        if self._killed is not None and ts - self._killed[0] < policy.oom_hold_s and value < self._killed[1]:
            value = self._killed[1]
            upper = max(upper, value)
            reason = f"at least {value:.6g} since it ran out of memory"
        return Request(ts=ts, value=value, lower=min(lower, value), upper=max(upper, value), reason=reason)

    def _mix(self, ts: float, level: float, keep: bool = False) -> float:
        """The offers at `level`, weighted; `keep` those offers to be judged by."""
        memories = len(self.policy.half_lives_h)
        offers = np.empty(memories + 1)
        offers[:-1] = self._histograms.quantiles(range(memories), [level] * memories)
        hour = _hour(ts)
        rows = [memories + (hour + step) % 24 for step in (-1, 0, 1)]
        season = self._histograms.blended(rows, AROUND, level) if self._hours > SEASON_AFTER_H else math.nan
        offers[-1] = offers[-2] if math.isnan(season) else season
        offers = np.minimum(np.nan_to_num(offers, nan=self._most), self._most)
        if keep:
            self._offers = offers
        least = float(self._losses.min())
        weights = np.exp(-self.policy.sharpness * (self._losses - least) / max(least, 1e-9))
        return float(weights @ offers / weights.sum())


def _hour(ts: float) -> int:
    return int(ts // 3_600.0) % 24
