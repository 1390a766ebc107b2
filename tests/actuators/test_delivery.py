"""Argo Rollouts, Flagger and Knative: their published resources on a real kube-apiserver."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from lightkube import AsyncClient

from actuators import Actuator, NotSupported, Refused, UnknownTarget, make_actuator
from actuators.argo_rollouts import RESOURCE as ROLLOUTS
from actuators.flagger import RESOURCE as CANARIES
from actuators.flagger_gates import Gates
from actuators.knative import SERVICES
from actuators.kubernetes import resource_class
from actuators.kubernetes_custom import DeliveryConfig
from schemas import Command, Promote, Rollback, SetTraffic
from schemas.command import Action
from tests.actuators.cluster import admin, create_namespace
from tests.actuators.commands import scale
from tests.actuators.delivery import in_analysis, rolling_out, set_fields, with_revisions
from tests.actuators.lab import kubernetes_lab

__all__ = ["kubernetes_lab"]

pytestmark = pytest.mark.platforms

_numbers = itertools.count()


@dataclass
class Site:
    """A namespace of the test's own."""

    kubeconfig: Path
    client: AsyncClient
    namespace: str

    def hands(self, kind: str) -> Actuator:
        params = {"kubeconfig": str(self.kubeconfig), "context": "admin", "namespace": self.namespace}
        return make_actuator(kind, params, env={})

    async def get(self, resource: str, name: str = "checkout") -> Any:
        return await self.client.get(resource_class(resource), name, namespace=self.namespace)

    async def set(self, resource: str, body: dict[str, Any], *, status: bool = False) -> None:
        await set_fields(self.client, self.namespace, resource, body, status=status)


@pytest.fixture
async def site(kubernetes_lab: Path) -> AsyncIterator[Site]:
    async with admin(kubernetes_lab) as client:
        namespace = f"delivery-{next(_numbers)}"
        await create_namespace(client, namespace)
        yield Site(kubernetes_lab, client, namespace)


def command(action: Action, target: str = "checkout") -> Command:
    return Command(id="c1", target=target, sequence=1, action=action, reasons=[], issued_at=0, expires_at=1)


# -- Argo Rollouts ---------------------------------------------------------------------------------


@pytest.fixture
async def rollout(site: Site) -> AsyncIterator[Actuator]:
    """A Rollout that is rolling out v2 beside the stable v1, paused at its first step."""
    await rolling_out(site.client, site.namespace)
    hands = site.hands("argo-rollouts")
    yield hands
    await hands.close()


async def test_a_rollout_goes_from_weight_to_weight(site: Site, rollout: Actuator) -> None:
    applied = await rollout.apply(command(SetTraffic(release="v2", percent=20.0)))
    assert applied.changed
    assert applied.detail == f"{site.namespace}/checkout: v2 gets 20 % of the traffic, step 2"
    status = (await site.get(ROLLOUTS))["status"]
    assert status["currentStepIndex"] == 2
    assert not status.get("pauseConditions")
    await site.set(ROLLOUTS, {"status": {"currentStepIndex": 3}}, status=True)  # the controller waits again
    again = await rollout.apply(command(SetTraffic(release="v2", percent=20.0)))
    assert not again.changed
    assert await rollout.replicas("checkout") == 2


async def test_a_rollout_is_promoted_in_full_although_a_person_paused_it(
    site: Site, rollout: Actuator
) -> None:
    await site.set(ROLLOUTS, {"spec": {"paused": True}})
    assert (await rollout.apply(command(Promote(release="v2")))).changed
    found = await site.get(ROLLOUTS)
    assert found["status"]["promoteFull"] is True
    assert not found["spec"].get("paused")
    await site.set(ROLLOUTS, {"status": {"stableRS": "new"}}, status=True)
    assert not (await rollout.apply(command(Promote(release="v2")))).changed


async def test_a_rollout_is_aborted_once(site: Site, rollout: Actuator) -> None:
    assert (await rollout.apply(command(Rollback(release="v2", to="v1")))).changed
    assert (await site.get(ROLLOUTS))["status"]["abort"] is True
    assert not (await rollout.apply(command(Rollback(release="v2", to="v1")))).changed
    other = await rollout.apply(command(Rollback(release="v9", to="v1")))
    assert not other.changed
    assert "v9 is not being rolled out, v2" in other.detail


async def test_what_a_rollout_cannot_do_is_refused_in_words(site: Site, rollout: Actuator) -> None:
    with pytest.raises(Refused, match=r"no step `setWeight: 10` .* its weights are 5 %, 20 %, 50 %"):
        await rollout.apply(command(SetTraffic(release="v2", percent=10.0)))
    with pytest.raises(Refused, match="rolls out v2"):
        await rollout.apply(command(Promote(release="v3")))
    with pytest.raises(UnknownTarget):
        await rollout.apply(command(Promote(release="v2"), target="nowhere"))
    with pytest.raises(NotSupported):
        await rollout.apply(scale(1, 3))
    await site.set(ROLLOUTS, {"status": {"stableRS": "new"}}, status=True)
    with pytest.raises(Refused, match="there is no canary to abort"):
        await rollout.apply(command(Rollback(release="v2", to="v1")))


# -- Knative ---------------------------------------------------------------------------------------


@pytest.fixture
async def knative(site: Site) -> AsyncIterator[Actuator]:
    """A Service all of whose traffic goes to the revision of v1; there is one of v2."""
    await with_revisions(site.client, site.namespace)
    hands = site.hands("knative")
    yield hands
    await hands.close()


async def test_the_traffic_of_a_knative_service_is_split(site: Site, knative: Actuator) -> None:
    async def split() -> dict[str, int]:
        traffic = (await site.get(SERVICES))["spec"]["traffic"]
        return {each["revisionName"]: each["percent"] for each in traffic}

    steps: list[tuple[Action, dict[str, int]]] = [
        (SetTraffic(release="v2", percent=5.0), {"checkout-00001": 95, "checkout-00002": 5}),
        (SetTraffic(release="v2", percent=50.0), {"checkout-00001": 50, "checkout-00002": 50}),
        (Rollback(release="v2", to=None), {"checkout-00001": 100}),
        (Promote(release="v2"), {"checkout-00002": 100}),
        (Rollback(release="v2", to="v1"), {"checkout-00001": 100}),
    ]
    for action, wanted in steps:
        assert (await knative.apply(command(action))).changed
        assert await split() == wanted
        assert not (await knative.apply(command(action))).changed


async def test_what_a_knative_service_cannot_do_is_refused_in_words(knative: Actuator) -> None:
    with pytest.raises(Refused, match=r"no revision of release v9; there are checkout-00002 \(v2"):
        await knative.apply(command(SetTraffic(release="v9", percent=5.0)))
    with pytest.raises(Refused, match="whole percent"):
        await knative.apply(command(SetTraffic(release="v2", percent=2.5)))
    with pytest.raises(NotSupported):
        await knative.replicas("checkout")


# -- Flagger ---------------------------------------------------------------------------------------


@pytest.fixture
async def flagger(site: Site) -> AsyncIterator[Actuator]:
    """A Canary in its analysis, at no weight yet."""
    await in_analysis(site.client, site.namespace)
    hands = site.hands("flagger")
    yield hands
    await hands.close()


async def test_flagger_goes_as_far_as_it_is_allowed(site: Site, flagger: Actuator) -> None:
    config = DeliveryConfig(kubeconfig=str(site.kubeconfig), context="admin", attempts=1)
    asked = {"name": "checkout", "namespace": site.namespace, "phase": "Progressing", "checksum": "1"}
    async with TestClient(TestServer(Gates(config, env={}).app)) as gates:

        async def answers() -> list[int]:
            hooks = ("confirm-rollout", "confirm-traffic-increase", "confirm-promotion", "rollback")
            return [(await gates.post(f"/{hook}", json=asked)).status for hook in hooks]

        assert await answers() == [403, 403, 403, 403], "nothing was decided yet"
        assert (await flagger.apply(command(SetTraffic(release="v2", percent=5.0)))).changed
        assert not (await flagger.apply(command(SetTraffic(release="v2", percent=5.0)))).changed
        assert await answers() == [200, 200, 403, 403]
        weight = {"canaryWeight": 5, "phase": "Progressing", "failedChecks": 0, "iterations": 0}
        await site.set(CANARIES, {"status": weight}, status=True)
        assert await answers() == [403, 403, 403, 403], "it has what it may have"
        await flagger.apply(command(SetTraffic(release="v2", percent=20.0)))
        assert await answers() == [200, 200, 403, 403]
        await flagger.apply(command(Promote(release="v2")))
        assert await answers() == [200, 200, 200, 403]
        await flagger.apply(command(Rollback(release="v2", to="v1")))
        assert await answers() == [403, 403, 403, 200]
        assert (await gates.post("/rollback", data=b"nonsense")).status == 400
        asked["name"] = "nowhere"
        assert await answers() == [503, 503, 503, 503], "without an answer nothing is allowed"
