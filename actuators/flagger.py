"""Hands on Flagger: its own analysis goes on only as far as Tidegate allows.

Flagger shifts traffic by itself and asks webhooks before each move. What is allowed is written on the Canary
as annotations, so it is where the Canary is and outlives every worker; `flagger_gates` answers the
webhooks from there.
"""

from collections.abc import Mapping

from actuators.errors import NotSupported
from actuators.kubernetes_custom import Custom, DeliveryConfig
from actuators.port import Applied
from schemas import Command, Promote, Rollback, SetTraffic

RESOURCE = "canaries.v1beta1.flagger.app"
RELEASE = "tidegate.dev/release"
WEIGHT = "tidegate.dev/weight"  # Flagger may raise the canary's weight up to here
VERDICT = "tidegate.dev/verdict"  # "", "promote" or "rollback"


class Flagger:
    """Opens and closes the gates of Canaries."""

    name = "flagger"
    kinds = frozenset({"set-traffic", "promote", "rollback"})
    repeatable = True  # each sets a state

    def __init__(self, config: DeliveryConfig, *, env: Mapping[str, str]) -> None:
        self._custom = Custom(RESOURCE, config, env=env)

    async def apply(self, command: Command) -> Applied:
        """Write what is allowed. See `Actuator.apply` for the errors."""
        match command.action:
            case SetTraffic(release=release, percent=percent):
                wanted = {RELEASE: release, WEIGHT: f"{percent:g}", VERDICT: ""}
                words = f"{release} may have {percent:g} % of the traffic"
            case Promote(release=release):
                wanted = {RELEASE: release, WEIGHT: "100", VERDICT: "promote"}
                words = f"{release} may be promoted"
            case Rollback(release=release):
                wanted = {RELEASE: release, WEIGHT: "0", VERDICT: "rollback"}
                words = f"{release} is to be rolled back"
            case _:
                raise NotSupported(f"flagger cannot {command.kind}; it can {', '.join(sorted(self.kinds))}")
        changed, attempts = await self._custom.persist(lambda: self._allow(command.target, wanted))
        detail = f"{self._custom.namespace}/{command.target}: {words}"
        return Applied(detail=detail, changed=changed, attempts=attempts)

    async def replicas(self, target: str) -> int:
        """A Canary has none of its own."""
        raise NotSupported(f"{target}: ask the Deployment, a Flagger Canary has no replicas")

    async def close(self) -> None:
        """Close the connections."""
        await self._custom.close()

    async def _allow(self, target: str, wanted: Mapping[str, str]) -> bool:
        canary = await self._custom.get(target)
        present = canary["metadata"].get("annotations") or {}
        if all(present.get(name) == text for name, text in wanted.items()):
            return False
        await self._custom.patch(target, canary, {"metadata": {"annotations": dict(wanted)}})
        return True
