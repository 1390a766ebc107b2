"""Kubernetes: scaling and undoing on a real kube-apiserver."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube import AsyncClient
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.resources.rbac_authorization_v1 import Role, RoleBinding
from lightkube.types import PatchType

from actuators import Actuator, ConfigurationError, NotSupported, Refused, UnknownTarget, make_actuator
from actuators.kubernetes import Kubernetes, resource_class
from actuators.kubernetes_undo import release_names
from schemas import Rollback
from tests.actuators.cluster import (
    DEPLOYMENTS,
    VERSION,
    admin,
    create,
    create_namespace,
    revision_of,
    roll_out,
    until,
    workload,
)
from tests.actuators.commands import act, scale
from tests.actuators.lab import kubernetes_lab

__all__ = ["kubernetes_lab"]

pytestmark = pytest.mark.platforms

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "platforms" / "kubernetes.md"
_numbers = itertools.count()


@dataclass
class Site:
    """A namespace with the Deployment `checkout`: two replicas of release v1."""

    kubeconfig: Path
    client: AsyncClient
    namespace: str

    def hands(self, context: str = "admin", **params: Any) -> Kubernetes:
        fixed = {"kubeconfig": str(self.kubeconfig), "context": context, "namespace": self.namespace}
        made = make_actuator("kubernetes", fixed | params, env={})
        assert isinstance(made, Kubernetes)
        return made

    async def deployment(self) -> Any:
        return await self.client.get(DEPLOYMENTS, "checkout", namespace=self.namespace)

    async def running(self) -> list[str]:
        return release_names((await self.deployment())["spec"]["template"], VERSION)


@pytest.fixture
async def site(kubernetes_lab: Path) -> AsyncIterator[Site]:
    async with admin(kubernetes_lab) as client:
        namespace = f"test-{next(_numbers)}"
        await create_namespace(client, namespace)
        await create(client, DEPLOYMENTS, workload("Deployment", "checkout", "v1", 2), namespace)
        yield Site(kubernetes_lab, client, namespace)


@pytest.fixture
async def hands(site: Site) -> AsyncIterator[Kubernetes]:
    made = site.hands()
    yield made
    await made.close()


async def test_a_deployment_is_scaled_and_tells_its_count(site: Site, hands: Kubernetes) -> None:
    assert await hands.replicas("checkout") == 2
    applied = await hands.apply(scale(1, 5))
    assert applied.detail == f"{site.namespace}/checkout: 2 -> 5 replicas"
    assert applied.changed
    assert (await site.deployment())["spec"]["replicas"] == 5
    again = await hands.apply(scale(2, 5))
    assert not again.changed
    assert (await hands.apply(scale(3, 0))).changed
    assert await hands.replicas("checkout") == 0


async def test_the_change_is_recorded_as_tidegates(site: Site, hands: Kubernetes) -> None:
    await hands.apply(scale(1, 5))
    managers = {entry["manager"] for entry in (await site.deployment())["metadata"]["managedFields"]}
    assert "tidegate" in managers


async def test_whatever_has_the_scale_subresource_is_scaled(site: Site) -> None:
    await create(
        site.client,
        resource_class("statefulsets.v1.apps"),
        workload("StatefulSet", "index", "v1", 1),
        site.namespace,
    )
    await create_custom_resource(site)
    hands = site.hands(
        targets={
            "search": {"resource": "statefulsets.v1.apps", "name": "index"},
            "fleet": {"resource": "fleets.v1.example.com"},
            "plain": {"resource": "plains.v1.example.com"},
        }
    )
    assert (await hands.apply(scale(1, 4, target="search"))).detail.endswith("index: 1 -> 4 replicas")
    assert (await hands.apply(scale(1, 7, target="fleet"))).detail.endswith("fleet: 3 -> 7 replicas")
    fleet = await site.client.get(resource_class("fleets.v1.example.com"), "fleet", namespace=site.namespace)
    assert fleet["spec"]["size"] == 7
    with pytest.raises(UnknownTarget, match="404"):
        await hands.replicas("plain")
    await hands.close()


async def create_custom_resource(site: Site) -> None:
    """`fleets` with a scale subresource whose count is `spec.size`, `plains` without one."""
    for kind, plural in (("Fleet", "fleets"), ("Plain", "plains")):
        version: dict[str, Any] = {
            "name": "v1",
            "served": True,
            "storage": True,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
        }
        if kind == "Fleet":
            paths = {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}
            version["subresources"] = {"scale": paths}
        definition = {
            "metadata": {"name": f"{plural}.example.com"},
            "spec": {
                "group": "example.com",
                "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
                "versions": [version],
            },
        }
        await site.client.create(CustomResourceDefinition.from_dict(definition))

        async def served(plural: str = plural) -> bool:
            found = await site.client.get(CustomResourceDefinition, f"{plural}.example.com")
            conditions = (found.status.conditions or []) if found.status else []
            return any(each.type == "Established" and each.status == "True" for each in conditions)

        await until(served)
        body = {
            "apiVersion": "example.com/v1",
            "kind": kind,
            "metadata": {"name": kind.lower()},
            "spec": {"size": 3},
        }
        await create(site.client, resource_class(f"{plural}.v1.example.com"), body, site.namespace)


@pytest.mark.parametrize(
    ("target", "params", "words"),
    [
        ("nowhere", {}, 'deployments.apps "nowhere" not found'),
        ("checkout", {"namespace": "no-such-namespace"}, "not found"),
        ("checkout", {"resource": "rollouts.v1alpha1.argoproj.io"}, r"404 to GET .*rollouts.*not found"),
    ],
)
async def test_what_is_not_there_is_an_unknown_target(
    site: Site, target: str, params: dict[str, Any], words: str
) -> None:
    hands = site.hands(**params)
    with pytest.raises(UnknownTarget, match=words) as caught:
        await hands.apply(scale(1, target=target))
    assert caught.value.attempts == 1
    with pytest.raises(UnknownTarget):
        await hands.replicas(target)
    await hands.close()


async def test_a_count_that_is_not_valid_is_refused_in_the_servers_words(
    site: Site, hands: Kubernetes
) -> None:
    with pytest.raises(Refused, match=r"422 to PATCH .*must be greater than or equal to 0"):
        await hands.apply(scale(1, -1))
    assert (await site.deployment())["spec"]["replicas"] == 2


@pytest.mark.parametrize("context", ["nobody", "scaler"])
async def test_without_rights_the_missing_one_is_named(site: Site, context: str) -> None:
    hands = site.hands(context)
    with pytest.raises(Refused, match=r'403 to GET .*cannot get resource "deployments/scale"') as caught:
        await hands.apply(scale(1))
    assert caught.value.attempts == 1
    await hands.close()


async def test_the_documented_role_is_enough_and_not_more(site: Site) -> None:
    """The manifest on the page, pasted, lets the context `scaler` scale and roll back."""
    await revision_of(site.client, site.namespace, "v1")
    await roll_out(site.client, site.namespace, "checkout", "v2")
    manifests = PAGE.read_text().split("```yaml\n")[1:]
    role, binding = (yaml.safe_load(text.split("```")[0]) for text in manifests)
    binding["subjects"] = [{"kind": "User", "name": "scaler", "apiGroup": "rbac.authorization.k8s.io"}]
    await site.client.create(Role.from_dict(role), namespace=site.namespace)
    await site.client.create(RoleBinding.from_dict(binding), namespace=site.namespace)
    hands = site.hands("scaler")
    assert (await hands.apply(scale(1, 6))).changed
    assert (await hands.apply(act(Rollback(release="v2", to=None)))).changed
    assert "v1" in await site.running()
    elsewhere = site.hands("scaler", namespace="default")
    with pytest.raises(Refused, match="403"):
        await elsewhere.replicas("checkout")
    for actuator in (hands, elsewhere):
        await actuator.close()


async def test_each_rule_of_the_documented_role_is_needed(site: Site) -> None:
    await revision_of(site.client, site.namespace, "v1")
    await roll_out(site.client, site.namespace, "checkout", "v2")
    role, binding = (yaml.safe_load(text.split("```")[0]) for text in PAGE.read_text().split("```yaml\n")[1:])
    binding["subjects"] = [{"kind": "User", "name": "scaler", "apiGroup": "rbac.authorization.k8s.io"}]
    await site.client.create(RoleBinding.from_dict(binding), namespace=site.namespace)
    await site.client.create(Role.from_dict(role | {"rules": []}), namespace=site.namespace)
    hands = site.hands("scaler")

    async def fails_without(rule: dict[str, Any], verb: str) -> bool:
        rules = [each for each in role["rules"] if each is not rule]
        if len(rule["verbs"]) > 1:
            rules.append(rule | {"verbs": [each for each in rule["verbs"] if each != verb]})
        await site.client.replace(Role.from_dict(role | {"rules": rules}), namespace=site.namespace)

        async def refused() -> bool:
            number = next(_numbers)
            try:
                await hands.apply(scale(number, 10 + number))
                await hands.apply(act(Rollback(release="v2", to=None)))
            except Refused as error:
                return "403" in str(error)
            await roll_out(site.client, site.namespace, "checkout", "v2")
            return False

        await until(refused)  # the API server takes a moment to see a changed Role
        return True

    for rule in role["rules"]:
        for verb in rule["verbs"]:
            assert await fails_without(rule, verb)
    await hands.close()


async def test_a_token_that_is_not_accepted_is_told_apart(site: Site, tmp_path: Path) -> None:
    config = yaml.safe_load(site.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "wrong"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    hands = site.hands(kubeconfig=str(tmp_path / "kubeconfig"))
    with pytest.raises(Refused, match=r"401 to GET .*credentials are not accepted") as caught:
        await hands.apply(scale(1))
    assert caught.value.attempts == 1
    await hands.close()


async def test_a_change_in_between_is_read_again_and_not_overwritten_unseen(
    site: Site, hands: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = hands._get_scale
    others = iter([9])

    async def read_then_someone_else_writes(target: str) -> Any:
        answer = await read(target)
        for count in others:
            patch = {"spec": {"replicas": count}}
            await site.client.patch(
                DEPLOYMENTS, "checkout", patch, namespace=site.namespace, patch_type=PatchType.MERGE
            )
        return answer

    monkeypatch.setattr(hands, "_get_scale", read_then_someone_else_writes)
    applied = await hands.apply(scale(1, 5))
    assert applied.detail == f"{site.namespace}/checkout: 9 -> 5 replicas"
    assert applied.attempts >= 2
    assert (await site.deployment())["spec"]["replicas"] == 5


async def released(site: Site, *releases: str) -> None:
    await revision_of(site.client, site.namespace, "v1")
    for release in releases:
        await roll_out(site.client, site.namespace, "checkout", release)


async def test_a_rollback_returns_to_the_release_before(site: Site, hands: Kubernetes) -> None:
    await released(site, "v2", "v3")
    applied = await hands.apply(act(Rollback(release="v3", to=None)))
    assert applied.detail.startswith(f"{site.namespace}/checkout: rolled back from v3 to revision 2 (v2, ")
    template = (await site.deployment())["spec"]["template"]
    assert template["metadata"]["labels"] == {"app": "checkout", VERSION: "v2"}
    (container,) = template["spec"]["containers"]
    assert container["env"] == [{"name": "v2", "value": "1"}]


async def test_a_rollback_may_name_its_release_by_label_tag_or_image(site: Site, hands: Kubernetes) -> None:
    await released(site, "v2", "v3")
    await hands.apply(act(Rollback(release="v3", to="registry.invalid:5000/checkout:v1")))
    assert "v1" in await site.running()


async def test_a_rollback_done_twice_or_too_late_changes_nothing(site: Site, hands: Kubernetes) -> None:
    await released(site, "v2")
    command = act(Rollback(release="v2", to=None))
    assert (await hands.apply(command)).changed
    again = await hands.apply(command)
    assert not again.changed
    assert "v2 is not in production, v1" in again.detail


async def test_a_rollback_to_what_is_gone_lists_what_there_is(site: Site, hands: Kubernetes) -> None:
    await released(site, "v2")
    with pytest.raises(Refused, match=r"no revision of release v0 is left; there are 2 \(v2.*; 1 \(v1"):
        await hands.apply(act(Rollback(release="v2", to="v0")))
    assert "v2" in await site.running()


async def test_a_rollback_does_not_overwrite_a_rollout_that_was_faster(
    site: Site, hands: Kubernetes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await released(site, "v2")
    read = hands._replica_sets
    newer = iter(["v3"])

    async def read_then_a_person_deploys(deployment: Any, namespace: str) -> Any:
        answer = await read(deployment, namespace)
        for release in newer:
            await roll_out(site.client, site.namespace, "checkout", release)
        return answer

    monkeypatch.setattr(hands, "_replica_sets", read_then_a_person_deploys)
    applied = await hands.apply(act(Rollback(release="v2", to=None)))
    assert not applied.changed
    assert "v2 is not in production, v3" in applied.detail
    assert "v3" in await site.running()


async def test_only_a_deployment_is_rolled_back(site: Site) -> None:
    hands = site.hands(resource="statefulsets.v1.apps")
    with pytest.raises(NotSupported, match="only a Deployment"):
        await hands.apply(act(Rollback(release="v2", to=None)))
    await hands.close()


def test_contexts_and_files_that_are_not_there_are_named(kubernetes_lab: Path, tmp_path: Path) -> None:
    def make(env: dict[str, str] | None = None, **params: Any) -> Actuator:
        return make_actuator("kubernetes", params, env=env or {})

    with pytest.raises(ConfigurationError, match="Context 'prod' not found"):
        make(kubeconfig=str(kubernetes_lab), context="prod")
    with pytest.raises(ConfigurationError, match="absent not found"):
        make(kubeconfig=str(tmp_path / "absent"))
    with pytest.raises(ConfigurationError, match="nowhere not found"):
        make({"KUBECONFIG": "/nowhere"})
    with pytest.raises(ConfigurationError, match=r"not PLURAL\.VERSION\.GROUP"):
        make(resource="Deployment")
