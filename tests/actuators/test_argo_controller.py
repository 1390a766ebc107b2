"""Argo Rollouts with its real controller: what Tidegate writes is what moves the Rollout."""

import asyncio
import os
import socket
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from lightkube import AsyncClient

from actuators import make_actuator
from actuators.argo_rollouts import RESOURCE as ROLLOUTS
from actuators.kubernetes import resource_class
from schemas import Command, Promote, Rollback, SetTraffic
from schemas.command import Action
from tests.actuators.cluster import admin, create_namespace, template, until
from tests.actuators.delivery import ARGO, define, go, module, rolling_out, set_fields
from tests.actuators.lab import kubernetes_lab

__all__ = ["kubernetes_lab"]

pytestmark = [pytest.mark.platforms, pytest.mark.timeout(900)]

BINARY = Path(__file__).parents[2] / ".cache" / "argo-rollouts" / "rollouts-controller"


def _controller() -> Path:
    """The controller, built from its Go module where that was not done yet (minutes)."""
    if not BINARY.is_file():
        BINARY.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [go(), "build", "-trimpath", "-o", str(BINARY), "./cmd/rollouts-controller"],
            cwd=module(ARGO), check=True, timeout=800,
        )  # fmt: skip
    return BINARY


def _port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


@pytest.fixture
async def cluster(kubernetes_lab: Path, tmp_path: Path) -> AsyncIterator[AsyncClient]:
    """The API server with Argo's definitions and its controller at work."""
    async with admin(kubernetes_lab) as client:
        await define(client, *sorted((module(ARGO) / "manifests" / "crds").glob("*-crd.yaml")))
        log = (tmp_path / "controller.log").open("wb")
        process = await asyncio.create_subprocess_exec(
            str(_controller()), "--kubeconfig", str(kubernetes_lab), "--context", "admin",
            "--leader-elect=false", "--metricsPort", _port(), "--healthzPort", _port(),
            stdout=log, stderr=log, env={**os.environ, "KUBECONFIG": str(kubernetes_lab)},
        )  # fmt: skip
        try:
            yield client
        finally:
            process.terminate()
            await process.wait()
            log.close()


async def test_the_controller_follows(cluster: AsyncClient, kubernetes_lab: Path) -> None:
    namespace = "argo"
    await create_namespace(cluster, namespace)
    # Without nodes no pod starts: with no replicas wanted, all that are wanted are there.
    await rolling_out(cluster, namespace, release="v1", replicas=0, status=False)
    params = {"kubeconfig": str(kubernetes_lab), "context": "admin", "namespace": namespace}
    hands = make_actuator("argo-rollouts", params, env={})

    async def status() -> dict[str, Any]:
        found = await cluster.get(resource_class(ROLLOUTS), "checkout", namespace=namespace)
        return dict(found.get("status", {}))

    async def waits_at(step: int) -> None:
        async def there() -> bool:
            now = await status()
            return now.get("currentStepIndex") == step and bool(now.get("pauseConditions"))

        await until(there, within_s=180)

    async def stable(*, is_current: bool) -> None:
        async def there() -> bool:
            now = await status()
            same = now.get("stableRS") == now.get("currentPodHash")
            return bool(now.get("stableRS")) and same == is_current

        await until(there, within_s=180)

    async def do(action: Action, number: int) -> bool:
        command = Command(
            id=f"c{number}", target="checkout", sequence=number, action=action, reasons=[],
            issued_at=0, expires_at=1,
        )  # fmt: skip
        return (await hands.apply(command)).changed

    async def deploy(release: str) -> None:
        body = {"spec": {"template": template("checkout", release)}}
        await set_fields(cluster, namespace, ROLLOUTS, body)
        await stable(is_current=False)
        await waits_at(1)

    await stable(is_current=True)
    await deploy("v2")
    assert not await do(SetTraffic(release="v2", percent=5.0), 1), "the Rollout went there by itself"
    assert await do(SetTraffic(release="v2", percent=20.0), 2)
    await waits_at(3)
    assert await do(SetTraffic(release="v2", percent=50.0), 3)
    await waits_at(5)
    assert await do(Promote(release="v2"), 4)
    await stable(is_current=True)
    assert not await do(Promote(release="v2"), 5)
    await deploy("v3")
    assert await do(Rollback(release="v3", to="v2"), 6)

    async def aborted() -> bool:
        now = await status()
        return bool(now.get("abort")) and now.get("phase") == "Degraded"

    await until(aborted, within_s=180)
    assert (await status())["stableRS"] != (await status())["currentPodHash"]
    await hands.close()
