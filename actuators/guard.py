"""Blast radius: how much may change within a window, whatever planners ask for.

The guard stands between the ledger and the platform. What it refuses ends `failed`, in the guard's words; it
never rewrites a command, so what is executed is what was decided (and signed).
"""

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from actuators.errors import NotSupported, Refused, Unavailable, UnknownTarget
from actuators.port import Actuator, Applied
from schemas import Command, Scale

_log = logging.getLogger("tidegate.actuators")


class GuardConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits within `window_s`; None where there is none.

    At most `max_targets` targets are changed, by any kind of command, and `max_share` of all replicas. One
    target grows at most to `max_up_factor` times its count, and loses at most the share `max_down_share`
    of it; one replica is always allowed. `min_serving` is by target.
    """

    window_s: float = 300.0
    max_targets: int | None = None
    max_share: float | None = None
    max_up_factor: float | None = None
    max_down_share: float | None = None
    min_serving: Mapping[str, int] = msgspec.field(default_factory=dict)

    @property
    def counts(self) -> bool:
        """Whether anything is to be counted within the window."""
        limits = (self.max_targets, self.max_share, self.max_up_factor, self.max_down_share)
        return any(limit is not None for limit in limits)


class Budget(Protocol):
    """Counts changes, over all workers."""

    async def admit(
        self, target: str, *, before: int | None, after: int | None, fleet: int, now: int, limits: GuardConfig
    ) -> str | None:
        """Count a change of `target` at `now` (Unix ms), or say in words why it is too much.

        `before` and `after` are replicas, None for a change of another kind; `fleet` is the replicas of all
        targets.

        Raises:
            LedgerUnavailable: it cannot be counted now.
        """
        ...


class Fleet:
    """Replicas of all targets, asked of their platforms and kept for a window."""

    def __init__(self, actuators: Mapping[str, Actuator]) -> None:
        self._actuators = actuators
        self._counts: dict[str, int] = {}
        self._asked: int | None = None

    async def count(self, target: str, before: int, now: int, window_ms: int) -> int:
        """All replicas that are known of; `before` is what `target` has."""
        if self._asked is None or now - self._asked > window_ms:
            self._asked = now
            for name, actuator in self._actuators.items():
                if name != target:
                    try:
                        self._counts[name] = await actuator.replicas(name)
                    except (NotSupported, UnknownTarget, Unavailable, Refused) as error:
                        self._counts.pop(name, None)
                        _log.warning("the guard does not know the replicas of %s: %s", name, error)
        self._counts[target] = before
        return sum(self._counts.values())


class Guarded:
    """`inner` within limits. `clock` gives Unix ms."""

    def __init__(
        self, inner: Actuator, *, limits: GuardConfig, budget: Budget, fleet: Fleet, clock: Callable[[], int]
    ) -> None:
        self._inner = inner
        self._limits = limits
        self._budget = budget
        self._fleet = fleet
        self._clock = clock

    @property
    def name(self) -> str:
        """The guarded actuator's name."""
        return self._inner.name

    @property
    def kinds(self) -> frozenset[str]:
        """The guarded actuator's kinds."""
        return self._inner.kinds

    @property
    def repeatable(self) -> bool:
        """As the guarded actuator: a change that is counted again counts once."""
        return self._inner.repeatable

    async def apply(self, command: Command) -> Applied:
        """Apply within the limits. See `Actuator.apply` for further errors.

        Raises:
            Refused: the change goes beyond a limit; nothing was done.
            LedgerUnavailable: it cannot be counted; nothing was done.
        """
        before = after = None
        if isinstance(command.action, Scale):
            before, after = await self._before(command, command.action), command.action.replicas
            least = self._limits.min_serving.get(command.target, 0)
            if after < least and after < before:
                raise Refused(f"guard: {command.target} would have {after} replicas, fewer than {least}")
        if self._limits.counts and (before is None or before != after):
            now, window_ms = self._clock(), int(self._limits.window_s * 1000)
            fleet = 0
            if self._limits.max_share is not None and before is not None:
                fleet = await self._fleet.count(command.target, before, now, window_ms)
            why = await self._budget.admit(
                command.target, before=before, after=after, fleet=fleet, now=now, limits=self._limits
            )
            if why is not None:
                raise Refused(f"guard: {why}")
        return await self._inner.apply(command)

    async def _before(self, command: Command, action: Scale) -> int:
        try:
            return await self._inner.replicas(command.target)
        except NotSupported:
            return action.previous  # a platform that cannot be asked: what the planner knew

    async def replicas(self, target: str) -> int:
        """The guarded actuator's answer, with its errors."""
        return await self._inner.replicas(target)

    async def close(self) -> None:
        """Close the guarded actuator."""
        await self._inner.close()
