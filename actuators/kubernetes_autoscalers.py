"""Other autoscalers on a target: found before it is scaled, so that two controllers never fight unseen.

An HPA sets the count of what its `scaleTargetRef` names, every few seconds. KEDA makes such HPAs and owns
them; what is changed on one of those, KEDA changes back, so its ScaledObject is changed in its place.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from lightkube import AsyncClient
from lightkube.generic_resource import create_namespaced_resource
from lightkube.types import PatchType

from actuators.errors import Refused, UnknownTarget

_log = logging.getLogger("tidegate.actuators")

T = TypeVar("T")
Object = Mapping[str, Any]
Call = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
Policy = Literal["refuse", "bounds", "pause", "ignore"]

HPAS = create_namespaced_resource("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
SCALED_OBJECTS = create_namespaced_resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")
PAUSED = "autoscaling.keda.sh/paused-replicas"


class Workload(NamedTuple):
    """What is scaled: `plural` and `group` are those of its resource, such as `deployments` and `apps`."""

    namespace: str
    name: str
    plural: str
    group: str

    def is_target(self, reference: Object) -> bool:
        """Whether a `scaleTargetRef` means it; KEDA's need not name the kind."""
        kind, version = reference.get("kind", "Deployment"), reference.get("apiVersion", "apps/v1")
        group = version.partition("/")[0] if "/" in version else ""
        return bool(
            reference["name"] == self.name and f"{kind.lower()}s" == self.plural and group == self.group
        )


class Autoscalers:
    """Looks for autoscalers on a workload, and lets them give way as `policy` says.

    - `refuse`: a workload that one scales is left alone.
    - `bounds`: its lower bound becomes the commanded count; it may still go above.
    - `pause`: KEDA is paused at the commanded count, until its annotation is removed.
    - `ignore`: nobody is looked for.
    """

    def __init__(self, client: AsyncClient, call: Call, policy: Policy) -> None:
        self._client = client
        self._call = call
        self._policy = policy
        self._unseen: set[str] = set()  # namespaces in which HPAs may not be listed

    async def yields(self, workload: Workload, replicas: int) -> tuple[str, bool] | None:
        """What was done to the autoscaler in place of the workload, and whether that changed it.

        None where there is none, and the workload itself is to be scaled.

        Raises:
            Refused: there is one, and it may not be changed.
        """
        if self._policy == "ignore":
            return None
        if self._policy == "pause":
            paused = await self._first(SCALED_OBJECTS, workload)
            if paused is not None:
                return await self._pause(workload, paused, replicas)
        try:
            hpa = await self._first(HPAS, workload)
        except Refused as error:
            if self._policy != "refuse":
                raise
            if workload.namespace not in self._unseen:  # who may only scale, scales
                self._unseen.add(workload.namespace)
                _log.warning("whether an HPA scales %s too cannot be seen: %s", workload.name, error)
            return None
        if hpa is None:
            return None
        name = hpa["metadata"]["name"]
        owner = _owner(hpa)
        if self._policy == "bounds":
            if owner is None:
                return await self._bound(HPAS, workload, hpa, replicas, ("minReplicas", "maxReplicas"))
            keda = await self._call(
                lambda: self._client.get(SCALED_OBJECTS, owner, namespace=workload.namespace)
            )
            return await self._bound(
                SCALED_OBJECTS, workload, keda, replicas, ("minReplicaCount", "maxReplicaCount")
            )
        whose = f"KEDA's ScaledObject {owner}, by the HPA {name}," if owner else f"the HPA {name}"
        raise Refused(
            f"{workload.namespace}/{workload.name}: {whose} scales it, and two controllers would fight; "
            "remove one, or set `autoscaler` to `bounds`" + (" or `pause`" if owner else "")
        )

    async def _first(self, resource: Any, workload: Workload) -> Object | None:
        async def found() -> Object | None:
            async for each in self._client.list(resource, namespace=workload.namespace):
                if workload.is_target(each["spec"]["scaleTargetRef"]):
                    return dict(each)
            return None

        try:
            answer: Object | None = await self._call(found)
        except UnknownTarget:  # KEDA is not installed
            return None
        return answer

    async def _pause(self, workload: Workload, found: Object, replicas: int) -> tuple[str, bool]:
        name = found["metadata"]["name"]
        before = (found["metadata"].get("annotations") or {}).get(PAUSED)
        if before == str(replicas):
            return f"{workload.namespace}/{name}: KEDA is paused at {replicas} replicas already", False
        await self._patch(
            SCALED_OBJECTS, workload, found, {"metadata": {"annotations": {PAUSED: str(replicas)}}}
        )
        was = f"{before}" if before is not None else "not paused"
        return f"{workload.namespace}/{name}: KEDA paused at {replicas} replicas (before: {was})", True

    async def _bound(
        self, resource: Any, workload: Workload, found: Object, replicas: int, keys: tuple[str, str]
    ) -> tuple[str, bool]:
        lower, upper = keys
        name, spec = found["metadata"]["name"], found["spec"]
        least = replicas if resource is SCALED_OBJECTS else max(1, replicas)  # an HPA has no zero
        before, most = int(spec.get(lower) or 0), int(spec.get(upper) or 100)
        if before == least and most >= least:
            return f"{workload.namespace}/{name}: {lower} is {least} already", False
        bounds = {lower: least, upper: max(most, least)}
        await self._patch(resource, workload, found, {"spec": bounds})
        return f"{workload.namespace}/{name}: {lower} {before} -> {least}, {upper} {bounds[upper]}", True

    async def _patch(self, resource: Any, workload: Workload, found: Object, patch: dict[str, Any]) -> None:
        metadata = patch.setdefault("metadata", {})
        metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
        name = found["metadata"]["name"]
        await self._call(
            lambda: self._client.patch(
                resource, name, patch, namespace=workload.namespace, patch_type=PatchType.MERGE
            )
        )


def _owner(hpa: Object) -> str | None:
    """The ScaledObject that an HPA belongs to."""
    owners = hpa["metadata"].get("ownerReferences") or []
    return next((str(each["name"]) for each in owners if each["kind"] == "ScaledObject"), None)
