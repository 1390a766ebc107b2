"""Event order: a target's samples and deployments in the order in which they happened.

Series of one target lie in different partitions, events on a topic of their own. While a worker catches
up, one of them may be read hours ahead of another; decisions taken in the order of arrival would then
rest on half the load, or judge a release by samples from before it.
"""

from collections.abc import Iterator

import msgspec

from schemas import Deployment
from schemas.signal import Arm
from streams.targets import scales_on

PATIENCE_MS = 5_000
"""A series heard of within this time is waited for. Live series come seldom enough that none is: the
order matters, and costs, while catching up only."""

MOST_WAITING = 20_000
"""Samples that may wait; more are let through, so that the target's state stays small."""


class Moment(msgspec.Struct, frozen=True, array_like=True):
    """One sample: event time (Unix ms), series, role, arm, value."""

    ts: int
    series: str
    role: str
    arm: Arm | None
    value: float


class EventOrder(msgspec.Struct, kw_only=True):
    """Holds samples back until each series that is being read has reached their interval.

    Intervals are `interval_ms` long and begin at multiples of it. `reached` has the newest time of each
    series that is waited for, `passed` the newest time let through of samples that releases are judged by.
    """

    interval_ms: int
    reached: dict[str, int] = {}
    waiting: list[Moment] = []
    deployments: list[Deployment] = []
    passed: int = -1

    def add(self, moment: Moment) -> None:
        """Take a sample that is newer than all before of its series."""
        self.waiting.append(moment)
        self.reached[moment.series] = moment.ts

    def deploy(self, deployment: Deployment) -> None:
        """Take a deployment; one that waits already (a replayed event) changes nothing."""
        if deployment not in self.deployments:
            self.deployments.append(deployment)

    def take(self, heard: dict[str, int], now_ms: int) -> Iterator[Moment | Deployment]:
        """What may be used now, in event order.

        A deployment comes before the first sample from its time on that a release is judged by.
        `heard` has the time (Unix ms) at which each series was last read; one that is not in it, since its
        state was just restored, counts as read now.
        """
        for series in [s for s in self.reached if now_ms - heard.setdefault(s, now_ms) > PATIENCE_MS]:
            del self.reached[series]
        floor = min((self._interval(ts) for ts in self.reached.values()), default=None)
        order = sorted(self.waiting, key=lambda moment: (moment.ts, moment.series))
        count = sum(floor is None or self._interval(moment.ts) <= floor for moment in order)
        count = max(count, len(order) - MOST_WAITING)
        self.waiting = order[count:]
        yield from self._deployed(self.passed)
        for moment in order[:count]:
            if not scales_on(moment.role):
                yield from self._deployed(moment.ts)
                self.passed = max(self.passed, moment.ts)
            yield moment

    def _interval(self, ts: int) -> int:
        return ts - ts % self.interval_ms

    def _deployed(self, ts: int) -> Iterator[Deployment]:
        due = [deployment for deployment in self.deployments if deployment.ts <= ts]
        self.deployments = [deployment for deployment in self.deployments if deployment.ts > ts]
        yield from sorted(due, key=lambda deployment: deployment.ts)
