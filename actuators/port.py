"""The port to a platform: what every actuator does."""

from dataclasses import dataclass
from typing import Protocol

from schemas import Command


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What applying a command came to.

    `detail` says in words what the platform did. `changed` is False where it was already as asked.
    `attempts` counts the calls to the platform. `dry_run` is True where nothing was to act.
    """

    detail: str
    changed: bool
    attempts: int = 1
    dry_run: bool = False


class Actuator(Protocol):
    """Carries commands out on one platform."""

    @property
    def name(self) -> str:
        """The name in outcomes and logs."""
        ...

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of action it can carry out: scale, rollback, promote, set-traffic, place."""
        ...

    @property
    def repeatable(self) -> bool:
        """Whether applying a command again under the same id is harmless."""
        ...

    async def apply(self, command: Command) -> Applied:
        """Carry `command` out; return when the platform has accepted it.

        Raises:
            Refused: for good (`UnknownTarget`, `NotSupported` among them).
            Unavailable: the platform did not answer, and the retries are used up.
        """
        ...

    async def replicas(self, target: str) -> int:
        """The target's desired replicas as the platform has them now.

        Raises:
            UnknownTarget: never a zero for a target that is not there.
            NotSupported: the platform cannot be asked.
            Unavailable: the platform did not answer.
        """
        ...

    async def close(self) -> None:
        """Release connections; harmless when called again."""
        ...
