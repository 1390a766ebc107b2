"""Real autoscalers scale on what Tidegate serves: the HPA of a real Kubernetes, the real KEDA operator."""

import base64
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from aiokafka.admin import NewTopic
from lightkube import AsyncClient
from lightkube.generic_resource import create_global_resource
from lightkube.resources.core_v1 import Service

from schemas import encode
from streams.config import Config, KafkaConfig, TargetConfig
from streams.config.section import TlsConfig
from streams.config.serve import ServeConfig
from streams.embedded import free_port
from streams.scaling import ScaleConfig
from streams.serve.external_service import ExternalMetricsService
from streams.serve.keda_service import KedaService
from tests.actuators.cluster import DEPLOYMENTS, admin, create, create_namespace, workload
from tests.actuators.lab import kubernetes_lab
from tests.certificates import Authority
from tests.deploy.conftest import ROOT
from tests.integration.harness import make_topics, produce, until
from tests.serve.messages import T0, command, forecast

__all__ = ["kubernetes_lab"]

pytestmark = [pytest.mark.platforms, pytest.mark.kafka]

KEDA = Path(os.environ.get("TIDEGATE_KEDA", ROOT / ".cache" / "keda"))
TARGET = TargetConfig(name="checkout", load="rps", scale=ScaleConfig(capacity=25.0, startup_s=120.0, max=60))
APISERVICES = create_global_resource("apiregistration.k8s.io", "v1", "APIService", "apiservices")
CRDS = create_global_resource(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions"
)
NAMESPACE = "shop"


@pytest.fixture
async def cluster(kubernetes_lab: Path) -> AsyncIterator[AsyncClient]:
    async with admin(kubernetes_lab) as client:
        yield client


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Starts a program, returns its log; ended by its own process id when the test ends."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*words: object, env: dict[str, str]) -> Path:
        log = tmp_path / f"program-{len(running)}.log"
        with log.open("wb") as file:
            command = [str(word) for word in words]
            running.append(subprocess.Popen(command, stdout=file, stderr=file, env=os.environ | env))
        return log

    yield run
    for process in running:
        process.terminate()
    for process in running:
        process.wait(30)


async def serving(kafka: str, prefix: str, kind: type[Any], **keys: Any) -> Any:
    await make_topics(kafka, NewTopic(f"{prefix}commands", 1, 1), NewTopic(f"{prefix}forecasts", 1, 1))
    config = Config(
        kafka=KafkaConfig(brokers=(kafka,), prefix=prefix),
        targets=(TARGET,),
        serve=ServeConfig(keda_port=0, metrics_port=0, stale_s=10**9, **keys),
    )
    service = kind(config, environ={}, clock=lambda: T0)
    await service.start()
    return service


async def replicas(client: AsyncClient, namespace: str) -> int:
    deployment = await client.get(DEPLOYMENTS, "checkout", namespace=namespace)
    return int(deployment["spec"]["replicas"])


async def test_a_plain_hpa_scales_on_the_forecast(
    cluster: AsyncClient, kubernetes_lab: Path, kafka: str, prefix: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    server = authority.issue("tidegate-metrics.hpa.svc")
    service = await serving(
        kafka, prefix, ExternalMetricsService,
        tls=TlsConfig(
            cert_file=str(server.cert), key_file=str(server.key),
            client_ca_file=str(kubernetes_lab.parent / "pki" / "front-ca.crt"),
        ),
        client_names=("front-proxy-client",),
    )  # fmt: skip
    try:
        await create_namespace(cluster, "hpa")
        await create(cluster, DEPLOYMENTS, workload("Deployment", "checkout", "v1", 2), "hpa")
        await cluster.create(
            Service.from_dict(
                {
                    "metadata": {"name": "tidegate-metrics"},
                    "spec": {"type": "ExternalName", "externalName": "localhost"},
                }
            ),
            namespace="hpa",
        )
        page = (ROOT / "docs" / "platforms" / "external-metrics.md").read_text()
        api, hpa = list(yaml.safe_load_all(page.split("```yaml\n")[1].split("```")[0]))
        api["spec"]["caBundle"] = base64.b64encode(authority.cert.read_bytes()).decode()
        api["spec"]["service"] |= {"namespace": "hpa", "port": service.port}
        await cluster.create(APISERVICES(api))
        await produce(kafka, f"{prefix}forecasts", [("checkout", encode(forecast()))])
        from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler  # noqa: PLC0415

        await cluster.create(HorizontalPodAutoscaler.from_dict(hpa), namespace="hpa")
        # 200 are expected within 120 s at the 0.9 quantile, one replica takes 25.
        await until(lambda: replicas(cluster, "hpa"), lambda count: count == 8, what="the HPA scales")
    finally:
        await service.stop()


async def test_the_keda_operator_wakes_a_workload(
    cluster: AsyncClient,
    kubernetes_lab: Path,
    kafka: str,
    prefix: str,
    tmp_path: Path,
    start: Callable[..., Path],
) -> None:
    if not (KEDA / "keda-operator").is_file():
        pytest.skip(f"no KEDA operator in {KEDA}: run `tests/serve/build-keda.sh {KEDA}` once (minutes)")
    service = await serving(kafka, prefix, KedaService)
    try:
        for file in sorted((KEDA / "crd").glob("*.yaml")):
            try:
                await cluster.create(CRDS(yaml.safe_load(file.read_text())))
            except httpx2.HTTPStatusError as error:  # another test of the session has made it
                assert error.response.status_code == 409
        for name in ("keda", NAMESPACE):
            await create_namespace(cluster, name)
        await create(cluster, DEPLOYMENTS, workload("Deployment", "checkout", "v1", 0), NAMESPACE)
        certs = Authority(tmp_path / "keda").issue("keda-operator.keda.svc")
        folder = tmp_path / "certs"
        folder.mkdir()
        for name, source in (
            ("tls.crt", certs.cert),
            ("tls.key", certs.key),
            ("ca.crt", tmp_path / "keda" / "ca.crt"),
        ):
            (folder / name).write_bytes(source.read_bytes())
        log = start(
            KEDA / "keda-operator", "--leader-elect=false", f"--cert-dir={folder}",
            f"--kubeconfig={kubernetes_lab}", f"--metrics-bind-address=127.0.0.1:{free_port()}",
            f"--health-probe-bind-address=127.0.0.1:{free_port()}",
            f"--metrics-service-bind-address=127.0.0.1:{free_port()}",
            env={
                "KUBECONFIG": str(kubernetes_lab), "WATCH_NAMESPACE": "", "POD_NAMESPACE": "keda",
                "KEDA_CLUSTER_OBJECT_NAMESPACE": "keda",
            },
        )  # fmt: skip
        page = (ROOT / "docs" / "platforms" / "keda.md").read_text()
        scaled = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
        scaled["spec"] |= {"minReplicaCount": 0, "pollingInterval": 1}
        scaled["spec"]["triggers"][0]["metadata"]["scalerAddress"] = f"127.0.0.1:{service.port}"
        objects = _scaled_objects()
        await until(
            lambda: _created(cluster, objects, scaled), lambda done: done, what="the ScaledObject is taken"
        )
        await produce(kafka, f"{prefix}commands", [("checkout", encode(command(4)))])
        try:
            await until(lambda: replicas(cluster, NAMESPACE), lambda count: count > 0, what="KEDA wakes it")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{log.read_text()[-4000:]}") from error
        from lightkube.resources.autoscaling_v2 import HorizontalPodAutoscaler  # noqa: PLC0415

        async def made() -> list[Any]:
            found = cluster.list(HorizontalPodAutoscaler, namespace=NAMESPACE)
            return [hpa async for hpa in found if hpa.spec is not None and hpa.spec.metrics]

        (hpa,) = await until(made, bool, what="KEDA makes an HPA")
        (metric,) = hpa.spec.metrics
        assert metric.external.metric.name == "s0-tidegate-replicas-checkout"
        assert metric.external.target.averageValue == "1"
    finally:
        await service.stop()


def _scaled_objects() -> Any:
    from lightkube.generic_resource import create_namespaced_resource  # noqa: PLC0415

    return create_namespaced_resource("keda.sh", "v1alpha1", "ScaledObject", "scaledobjects")


async def _created(client: AsyncClient, resource: Any, body: dict[str, Any]) -> bool:
    """Whether it could be made: a new kind of resource takes a moment to be served."""
    try:
        await client.create(resource(body), namespace=NAMESPACE)
    except httpx2.HTTPStatusError as error:
        return error.response.status_code == 409
    return True
