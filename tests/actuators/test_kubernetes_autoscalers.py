"""Other autoscalers on a target, on a real kube-apiserver whose HPA controller runs."""

import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from lightkube import AsyncClient
from lightkube.generic_resource import create_global_resource
from lightkube.resources.rbac_authorization_v1 import Role, RoleBinding

from actuators import Actuator, Refused, make_actuator
from actuators.kubernetes_autoscalers import HPAS, PAUSED, SCALED_OBJECTS
from tests.actuators.cluster import DEPLOYMENTS, admin, create, create_namespace, until, workload
from tests.actuators.commands import scale
from tests.actuators.lab import kubernetes_lab

__all__ = ["kubernetes_lab"]

pytestmark = pytest.mark.platforms

ROOT = Path(__file__).parents[2]
KEDA = Path(os.environ.get("TIDEGATE_KEDA", ROOT / ".cache" / "keda"))
CRDS = create_global_resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"
)
_numbers = itertools.count()


class Site:
    """A namespace with the Deployment `checkout` of two replicas, and objects beside it."""

    def __init__(self, kubeconfig: Path, client: AsyncClient, namespace: str) -> None:
        self._kubeconfig = kubeconfig
        self.client = client
        self.namespace = namespace

    def hands(self, **params: Any) -> Actuator:
        fixed = {"kubeconfig": str(self._kubeconfig), "context": "admin", "namespace": self.namespace}
        return make_actuator("kubernetes", fixed | params, env={})

    async def hpa(self, target: str = "checkout", owner: dict[str, Any] | None = None) -> None:
        body: dict[str, Any] = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": f"{target}-hpa"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                "minReplicas": 2,
                "maxReplicas": 6,
            },
        }
        if owner is not None:
            body["metadata"]["ownerReferences"] = [owner]
        await self.client.create(HPAS(body), namespace=self.namespace)

    async def scaled_object(self) -> dict[str, Any]:
        """KEDA's; returns a reference to it."""
        body = {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "ScaledObject",
            "metadata": {"name": "checkout-keda"},
            "spec": {"scaleTargetRef": {"name": "checkout"}, "minReplicaCount": 1, "triggers": []},
        }
        body["spec"]["triggers"] = [{"type": "cron", "metadata": {}}]  # type: ignore[index]
        made = await self.client.create(SCALED_OBJECTS(body), namespace=self.namespace)
        named = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "checkout-keda"}
        return named | {"uid": made["metadata"]["uid"]}

    async def get(self, resource: Any, name: str) -> Any:
        return await self.client.get(resource, name, namespace=self.namespace)

    async def replicas(self) -> int:
        return int((await self.get(DEPLOYMENTS, "checkout"))["spec"]["replicas"])


@pytest.fixture
async def site(kubernetes_lab: Path) -> AsyncIterator[Site]:
    async with admin(kubernetes_lab) as client:
        namespace = f"rivals-{next(_numbers)}"
        await create_namespace(client, namespace)
        await create(client, DEPLOYMENTS, workload("Deployment", "checkout", "v1", 2), namespace)
        yield Site(kubernetes_lab, client, namespace)


@pytest.fixture
async def keda(site: Site) -> Site:
    """The site, with KEDA's kinds of object."""
    files = sorted((KEDA / "crd").glob("keda.sh_scaledobjects.yaml"))
    if not files:
        pytest.skip(f"no KEDA in {KEDA}: run `tests/serve/build-keda.sh {KEDA}` once (minutes)")
    for file in files:
        try:
            await site.client.create(CRDS(yaml.safe_load(file.read_text())))
        except httpx2.HTTPStatusError as error:
            assert error.response.status_code == 409

    async def served() -> bool:
        try:
            async for _ in site.client.list(SCALED_OBJECTS, namespace=site.namespace):
                pass
        except httpx2.HTTPStatusError:
            return False
        return True

    await until(served)
    return site


async def test_a_target_that_an_hpa_scales_is_left_alone(site: Site) -> None:
    await site.hpa()
    await site.hpa("search")  # that of another workload is nobody's business
    hands = site.hands()
    with pytest.raises(Refused, match=r"the HPA checkout-hpa scales it.*set `autoscaler` to `bounds`"):
        await hands.apply(scale(1, 5))
    assert await site.replicas() == 2
    await hands.close()


async def test_the_forecast_is_the_floor_of_an_hpa(site: Site) -> None:
    await site.hpa()
    hands = site.hands(autoscaler="bounds")
    applied = await hands.apply(scale(1, 8))
    assert applied.detail == f"{site.namespace}/checkout-hpa: minReplicas 2 -> 8, maxReplicas 8"
    assert not (await hands.apply(scale(2, 8))).changed

    async def risen() -> bool:
        return await site.replicas() == 8

    await until(risen)  # the HPA's own controller did that
    await hands.apply(scale(3, 0))
    spec = (await site.get(HPAS, "checkout-hpa"))["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 8)
    await hands.close()


async def test_who_may_only_scale_scales_and_says_what_it_cannot_see(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    meta = {"name": "scaler"}
    rule = {"apiGroups": ["apps"], "resources": ["deployments/scale"], "verbs": ["get", "patch"]}
    await site.client.create(Role.from_dict({"metadata": meta, "rules": [rule]}), namespace=site.namespace)
    binding = {
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "scaler"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "scaler"}],
    }
    await site.client.create(RoleBinding.from_dict(binding), namespace=site.namespace)
    hands = site.hands(context="scaler")
    assert (await hands.apply(scale(1, 5))).changed
    assert (await hands.apply(scale(2, 6))).changed
    (told,) = [
        line for line in caplog.messages if "whether an HPA scales checkout too cannot be seen" in line
    ]
    assert "horizontalpodautoscalers" in told
    await hands.close()


async def test_who_does_not_want_to_know_scales(site: Site) -> None:
    await site.hpa("checkout")
    hands = site.hands(autoscaler="ignore")
    assert (await hands.apply(scale(1, 4))).changed
    await hands.close()


async def test_a_count_that_someone_else_has_set_is_told(site: Site) -> None:
    hands = site.hands()
    await hands.apply(scale(1, 5))
    other = site.hands()
    await other.apply(scale(2, 3))
    applied = await hands.apply(scale(3, 6))
    assert applied.detail.endswith("3 -> 6 replicas; someone else had set 3 since 5 were asked for")
    await hands.close()
    await other.close()


async def test_keda_is_named_bounded_or_paused(keda: Site) -> None:
    await keda.hpa(owner=await keda.scaled_object())
    refusing, bounding = keda.hands(), keda.hands(autoscaler="bounds")
    pausing = keda.hands(autoscaler="pause")
    with pytest.raises(Refused, match=r"KEDA's ScaledObject checkout-keda.*`bounds` or `pause`"):
        await refusing.apply(scale(1, 5))
    assert (await bounding.apply(scale(2, 0))).detail.endswith("minReplicaCount 1 -> 0, maxReplicaCount 100")
    assert (await keda.get(SCALED_OBJECTS, "checkout-keda"))["spec"]["minReplicaCount"] == 0
    assert (await keda.get(HPAS, "checkout-hpa"))["spec"]["minReplicas"] == 2  # KEDA's own to change
    paused = await pausing.apply(scale(3, 7))
    assert paused.detail.endswith("KEDA paused at 7 replicas (before: not paused)")
    found = await keda.get(SCALED_OBJECTS, "checkout-keda")
    assert found["metadata"]["annotations"][PAUSED] == "7"
    assert not (await pausing.apply(scale(4, 7))).changed
    for hands in (refusing, bounding, pausing):
        await hands.close()
