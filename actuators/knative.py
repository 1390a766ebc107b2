"""Hands on Knative: the split of a Service's traffic between its revisions."""

from collections.abc import Mapping, Sequence
from typing import Any

from actuators.errors import NotSupported, Refused
from actuators.kubernetes_custom import Custom, DeliveryConfig, Object
from actuators.kubernetes_undo import release_names
from actuators.port import Applied
from schemas import Command, Promote, Rollback, SetTraffic

SERVICES = "services.v1.serving.knative.dev"
REVISIONS = "revisions.v1.serving.knative.dev"
_OF_SERVICE = "serving.knative.dev/service"
_GENERATION = "serving.knative.dev/configurationGeneration"


class Knative:
    """Splits traffic by percent; a release is a revision, by its name, label or image."""

    name = "knative"
    kinds = frozenset({"set-traffic", "promote", "rollback"})
    repeatable = True  # each sets the whole split

    def __init__(self, config: DeliveryConfig, *, env: Mapping[str, str]) -> None:
        self._custom = Custom(SERVICES, config, env=env)

    async def apply(self, command: Command) -> Applied:
        """Write the split. See `Actuator.apply` for the errors."""
        match command.action:
            case SetTraffic(release=release, percent=percent):
                share, to = percent, None
            case Promote(release=release):
                share, to = 100.0, None
            case Rollback(release=release, to=back):
                share, to = 0.0, back
            case _:
                raise NotSupported(f"knative cannot {command.kind}; it can {', '.join(sorted(self.kinds))}")
        if share != int(share):
            raise Refused(f"knative splits traffic in whole percent, not {share:g}")
        done, attempts = await self._custom.persist(
            lambda: self._split(command.target, release, int(share), to)
        )
        detail, changed = done
        return Applied(detail=f"{self._custom.namespace}/{detail}", changed=changed, attempts=attempts)

    async def replicas(self, target: str) -> int:
        """Knative scales by itself."""
        raise NotSupported(f"{target}: Knative keeps the count of replicas to itself")

    async def close(self) -> None:
        """Close the connections."""
        await self._custom.close()

    async def _split(self, target: str, release: str, share: int, to: str | None) -> tuple[str, bool]:
        service = await self._custom.get(target)
        revisions = await self._custom.list(REVISIONS, {_OF_SERVICE: self._custom.name(target)})
        canary = self._revision(revisions, release, target)
        traffic: list[dict[str, Any]] = [{"revisionName": canary, "percent": share}] if share else []
        if share < 100:
            main = self._revision(revisions, to, target) if to is not None else _main(service, canary, target)
            traffic.insert(0, {"revisionName": main, "percent": 100 - share})
        tagged = [each for each in service["spec"].get("traffic") or [] if each.get("tag")]
        traffic += [{k: v for k, v in each.items() if k != "percent"} for each in tagged]
        if traffic == (service["spec"].get("traffic") or []):
            return f"{target}: {release} has {share} % already", False
        await self._custom.patch(target, service, {"spec": {"traffic": traffic}})
        words = ", ".join(
            f"{each['revisionName']} {each['percent']} %" for each in traffic if "percent" in each
        )
        return f"{target}: {words}", True

    def _revision(self, revisions: Sequence[Object], release: str, target: str) -> str:
        """The newest revision that goes by the name of the release."""
        known = []
        for revision in sorted(revisions, key=_generation, reverse=True):
            name = str(revision["metadata"]["name"])
            template = {"metadata": revision["metadata"], "spec": revision["spec"]}
            names = [name, *release_names(template, self._custom.config.release_label)]
            if release in names:
                return name
            known.append(f"{name} ({', '.join(names[1:]) or 'unnamed'})")
        raise Refused(f"{target}: no revision of release {release}; there are {'; '.join(known) or 'none'}")


def _generation(revision: Object) -> int:
    text = (revision["metadata"].get("labels") or {}).get(_GENERATION, "0")
    return int(text) if text.isdigit() else 0


def _main(service: Object, canary: str, target: str) -> str:
    """The revision beside the canary that has the most traffic now."""
    split = service.get("status", {}).get("traffic") or service["spec"].get("traffic") or []
    shares: dict[str, int] = {
        each["revisionName"]: each.get("percent") or 0
        for each in split
        if each.get("revisionName") not in (None, canary)
    }
    if not shares:
        raise Refused(f"{target}: no revision beside {canary} has traffic; name where to go back to")
    return max(sorted(shares), key=lambda name: shares[name])
