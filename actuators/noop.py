"""The actuator that does nothing: for targets that are only watched, and as the smallest example."""

from collections.abc import Mapping

import msgspec

from actuators.errors import NotSupported, UnknownTarget
from actuators.port import Applied
from schemas import Command


class NoopConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`replicas` is what to answer when asked for a target's count."""

    replicas: dict[str, int] = msgspec.field(default_factory=dict)


class Noop:
    """Accepts every command and touches nothing."""

    name = "noop"
    kinds = frozenset({"scale", "rollback", "promote", "set-traffic", "place"})
    repeatable = True

    def __init__(self, config: NoopConfig | None = None) -> None:
        self._replicas: Mapping[str, int] = (config or NoopConfig()).replicas

    async def apply(self, command: Command) -> Applied:
        """Accept `command`, change nothing."""
        return Applied(
            detail=f"no-op: {command.kind} on {command.target} accepted, nothing done", changed=False
        )

    async def replicas(self, target: str) -> int:
        """The configured count.

        Raises:
            NotSupported: no counts are configured at all.
            UnknownTarget: none is configured for `target`.
        """
        if not self._replicas:
            raise NotSupported("noop: `replicas` is not configured, the count cannot be asked")
        try:
            return self._replicas[target]
        except KeyError:
            known = ", ".join(sorted(self._replicas))
            raise UnknownTarget(
                f"no replica count is configured for {target!r}; configured: {known}"
            ) from None

    async def close(self) -> None:
        """Nothing to release."""
