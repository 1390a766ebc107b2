"""Dry-run, a mode of every actuator: says what would be done, asks the platform, changes nothing."""

from actuators.errors import NotSupported
from actuators.port import Actuator, Applied
from schemas import Command, Place, Promote, Rollback, Scale, SetTraffic


def describe(command: Command) -> str:
    """The command in words, as the imperative of what it asks."""
    match command.action:
        case Scale(replicas=replicas):
            return f"scale {command.target} to {replicas}"
        case Rollback(release=release, to=to):
            return f"roll {command.target} back from {release} to {to or 'what ran before'}"
        case Promote(release=release):
            return f"promote {release} on {command.target}"
        case SetTraffic(release=release, percent=percent):
            return f"give {release} on {command.target} {percent:g} % of the traffic"
        case Place(job=job, node=node):
            return f"place {job} on {node}"


class DryRun:
    """Wraps `inner`: reads through it, never calls its `apply`."""

    repeatable = True

    def __init__(self, inner: Actuator) -> None:
        self._inner = inner

    @property
    def name(self) -> str:
        """The wrapped actuator's name, marked."""
        return f"{self._inner.name} (dry run)"

    @property
    def kinds(self) -> frozenset[str]:
        """The wrapped actuator's kinds."""
        return self._inner.kinds

    async def apply(self, command: Command) -> Applied:
        """Say what would be done.

        Raises:
            NotSupported: the wrapped actuator cannot do it.
            UnknownTarget: the platform was asked and does not have the target.
            Unavailable: the platform was asked and did not answer.
        """
        if command.kind not in self._inner.kinds:
            raise NotSupported(
                f"{self._inner.name} cannot {command.kind}; it can {', '.join(sorted(self.kinds))}"
            )
        try:
            now = f", which has {await self._inner.replicas(command.target)} replicas now"
        except NotSupported:
            now = ""  # a platform that cannot be asked still gets a dry run
        return Applied(detail=f"would {describe(command)}{now}", changed=False, attempts=0, dry_run=True)

    async def replicas(self, target: str) -> int:
        """The wrapped actuator's answer, with its errors."""
        return await self._inner.replicas(target)

    async def close(self) -> None:
        """Close the wrapped actuator."""
        await self._inner.close()
