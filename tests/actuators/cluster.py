"""Objects in a real cluster for the tests, made as its administrator."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
from lightkube import AsyncClient, KubeConfig
from lightkube.types import PatchType

from actuators.kubernetes import resource_class

DEPLOYMENTS = resource_class("deployments.v1.apps")
REPLICA_SETS = resource_class("replicasets.v1.apps")
VERSION = "app.kubernetes.io/version"


@asynccontextmanager
async def admin(kubeconfig: Path) -> AsyncIterator[AsyncClient]:
    """A client that may do everything."""
    config = KubeConfig.from_file(kubeconfig).get("admin")
    client = AsyncClient(config=config, trust_env=False, timeout=httpx2.Timeout(10.0))
    try:
        yield client
    finally:
        await client.close()


async def create(client: AsyncClient, resource: Any, body: dict[str, Any], namespace: str | None) -> None:
    """Create an object from its manifest."""
    await client.create(resource(body), namespace=namespace)


async def create_namespace(client: AsyncClient, name: str) -> None:
    """A namespace of a test's own; the server goes away with all of them."""
    from lightkube.resources.core_v1 import Namespace  # noqa: PLC0415

    await client.create(Namespace.from_dict({"metadata": {"name": name}}))


def workload(kind: str, name: str, release: str, replicas: int) -> dict[str, Any]:
    """The manifest of a Deployment or StatefulSet that runs `release`."""
    labels = {"app": name}
    body: dict[str, Any] = {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": template(name, release),
        },
    }
    if kind == "StatefulSet":
        body["spec"]["serviceName"] = name
    return body


def template(name: str, release: str) -> dict[str, Any]:
    """The pod template of `release`; it also sets a variable of its own, so that undoing must remove it."""
    container = {
        "name": "app",
        "image": f"registry.invalid:5000/{name}:{release}",
        "env": [{"name": release, "value": "1"}],
    }
    return {
        "metadata": {"labels": {"app": name, VERSION: release}},
        "spec": {"containers": [container]},
    }


async def roll_out(client: AsyncClient, namespace: str, name: str, release: str) -> None:
    """Deploy `release`, and return when the Deployment's controller has made its revision."""
    patch = [{"op": "replace", "path": "/spec/template", "value": template(name, release)}]
    await client.patch(DEPLOYMENTS, name, patch, namespace=namespace, patch_type=PatchType.JSON)
    await revision_of(client, namespace, release)


async def revision_of(client: AsyncClient, namespace: str, release: str) -> None:
    """Return when the controller has made a ReplicaSet of `release` and given it its number."""

    async def made() -> bool:
        found = client.list(REPLICA_SETS, namespace=namespace, labels={VERSION: release})
        return any(
            [
                "deployment.kubernetes.io/revision" in (each["metadata"].get("annotations") or {})
                async for each in found
            ]
        )

    await until(made)


async def until(condition: Callable[[], Awaitable[bool]], within_s: float = 60.0) -> None:
    """Return when another process has brought `condition` about."""
    async with asyncio.timeout(within_s):
        while not await condition():
            await asyncio.sleep(0.05)
