"""The published resource definitions of delivery tools, from their Go modules, on the test's server."""

import json
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from lightkube import ApiError, AsyncClient
from lightkube.resources.apiextensions_v1 import CustomResourceDefinition
from lightkube.types import PatchType

from actuators.argo_rollouts import RESOURCE as ROLLOUTS
from actuators.flagger import RESOURCE as CANARIES
from actuators.knative import REVISIONS, SERVICES
from actuators.kubernetes import resource_class
from tests.actuators.cluster import create, template, until

ARGO = "github.com/argoproj/argo-rollouts@v1.10.1"
FLAGGER = "github.com/fluxcd/flagger@v1.36.1"
KNATIVE = "knative.dev/serving@v0.51.0"


def go() -> str:
    """The Go command; skips where there is none."""
    found = shutil.which("go") or "/usr/local/go/bin/go"
    if not Path(found).is_file():
        pytest.skip("Go is needed to fetch the published definitions")
    return found


@cache
def module(name: str) -> Path:
    """The folder of a Go module's sources; skips where Go or the module cannot be had."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "go.mod").write_text("module probe\n")
        done = subprocess.run(
            [go(), "mod", "download", "-json", name],
            cwd=folder, capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"{name} cannot be fetched: {done.stdout[-300:]} {done.stderr[-300:]}")
    return Path(json.loads(done.stdout)["Dir"])


async def define(client: AsyncClient, *files: Path) -> None:
    """Create the definitions in `files`, and return when they are served."""
    for file in files:
        for body in yaml.safe_load_all(file.read_text()):
            if body and body["kind"] == "CustomResourceDefinition":
                await _define(client, body)


async def _define(client: AsyncClient, body: dict[str, Any]) -> None:
    name = body["metadata"]["name"]
    try:
        await client.create(CustomResourceDefinition.from_dict(body))
    except ApiError as error:
        if error.status.reason != "AlreadyExists":
            raise

    async def served() -> bool:
        found = await client.get(CustomResourceDefinition, name)
        conditions = (found.status.conditions or []) if found.status else []
        return any(each.type == "Established" and each.status == "True" for each in conditions)

    await until(served)


async def set_fields(
    client: AsyncClient, namespace: str, resource: str, body: dict[str, Any], *, status: bool = False
) -> None:
    """Merge fields into the object `checkout`, or into its status."""
    kind: Any = resource_class(resource)
    kind = kind.Status if status else kind
    await client.patch(kind, "checkout", body, namespace=namespace, patch_type=PatchType.MERGE)


async def rolling_out(
    client: AsyncClient, namespace: str, *, release: str = "v2", replicas: int = 2, status: bool = True
) -> None:
    """A Rollout `checkout`; with `status`, of v2 beside the stable v1, paused at its first step."""
    await define(client, module(ARGO) / "manifests" / "crds" / "rollout-crd.yaml")
    steps: list[dict[str, Any]] = [
        {"setWeight": 5}, {"pause": {}}, {"setWeight": 20}, {"pause": {}}, {"setWeight": 50}, {"pause": {}}
    ]  # fmt: skip
    body = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "checkout"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "checkout"}},
            "template": template("checkout", release),
            "strategy": {"canary": {"steps": steps}},
        },
    }
    await create(client, resource_class(ROLLOUTS), body, namespace)
    if not status:
        return
    paused = [{"reason": "CanaryPauseStep", "startTime": "2026-01-01T00:00:00Z"}]
    seen = {"currentPodHash": "new", "stableRS": "old", "currentStepIndex": 0, "pauseConditions": paused}
    await set_fields(client, namespace, ROLLOUTS, {"status": seen}, status=True)


async def with_revisions(client: AsyncClient, namespace: str) -> None:
    """A Knative Service `checkout` all of whose traffic goes to the revision of v1; there is one of v2."""
    folder = module(KNATIVE) / "config" / "core" / "300-resources"
    await define(client, folder / "service.yaml", folder / "revision.yaml")
    for number, release in enumerate(("v1", "v2"), start=1):
        labels = {"serving.knative.dev/service": "checkout"}
        labels["serving.knative.dev/configurationGeneration"] = str(number)
        body = {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Revision",
            "metadata": {"name": f"checkout-0000{number}", "labels": labels},
            "spec": {"containers": [{"image": f"registry.invalid/checkout:{release}"}]},
        }
        await create(client, resource_class(REVISIONS), body, namespace)
    service = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "checkout"},
        "spec": {
            "template": {"spec": {"containers": [{"image": "registry.invalid/checkout:v2"}]}},
            "traffic": [{"revisionName": "checkout-00001", "percent": 100}],
        },
    }
    await create(client, resource_class(SERVICES), service, namespace)


async def in_analysis(client: AsyncClient, namespace: str) -> None:
    """A Flagger Canary `checkout`, at no weight yet."""
    await define(client, module(FLAGGER) / "artifacts" / "flagger" / "crd.yaml")
    body = {
        "apiVersion": "flagger.app/v1beta1",
        "kind": "Canary",
        "metadata": {"name": "checkout"},
        "spec": {
            "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"},
            "service": {"port": 80},
            "analysis": {"interval": "1m", "threshold": 5, "maxWeight": 50, "stepWeight": 5},
        },
    }
    await create(client, resource_class(CANARIES), body, namespace)
