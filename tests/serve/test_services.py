"""The scaler and the metrics API on a real Kafka, asked as KEDA and Kubernetes ask."""

import asyncio
import json
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from aiokafka.admin import NewTopic
from prometheus_client.parser import text_string_to_metric_families

from actuators.signing import Signer, generate_pem
from schemas import encode
from streams.config import Config, ConfigError, KafkaConfig, TargetConfig
from streams.config.section import TlsConfig
from streams.config.serve import ServeConfig
from streams.config.signing import SigningConfig, TrustedKeyConfig
from streams.scaling import ScaleConfig
from streams.serve.external_service import ExternalMetricsService
from streams.serve.keda_service import KedaService
from tests.certificates import Authority
from tests.deploy.conftest import ROOT
from tests.integration.harness import make_topics, produce, until
from tests.serve.messages import T0, command, forecast

pytestmark = pytest.mark.kafka

CLIENT = Path(__file__).with_name("keda_client.py")
PROTO = ROOT / "streams" / "wire" / "externalscaler.proto"
TARGET = TargetConfig(name="checkout", load="rps", scale=ScaleConfig(capacity=25.0, startup_s=120.0))
Serve = Callable[..., Awaitable[Any]]


@pytest.fixture
async def serve(kafka: str, prefix: str) -> AsyncIterator[Serve]:
    """Starts services on topics of this test's own, at time T0."""
    running: list[Any] = []

    async def run(kind: type[Any], signing: SigningConfig | None = None, **keys: Any) -> Any:
        config = Config(
            kafka=KafkaConfig(brokers=(kafka,), prefix=prefix),
            targets=(TARGET,),
            serve=ServeConfig(keda_port=0, metrics_port=0, stale_s=10**9, **keys),
            signing=signing or SigningConfig(),
        )
        made = kind(config, environ={}, clock=lambda: T0)
        running.append(made)
        await made.start()
        return made

    await make_topics(kafka, NewTopic(f"{prefix}commands", 2, 1), NewTopic(f"{prefix}forecasts", 2, 1))
    yield run
    for each in running:
        await each.stop()


async def tell(kafka: str, prefix: str, *messages: Any) -> None:
    for message in messages:
        topic = "forecasts" if hasattr(message, "levels") else "commands"
        await produce(kafka, prefix + topic, [(message.target, encode(message))])


async def call(service: KedaService, name: str, request: dict[str, Any]) -> dict[str, Any]:
    """One call by the generated client."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, CLIENT, PROTO, f"127.0.0.1:{service.port}", name, json.dumps(request),
        stdout=subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    answer: dict[str, Any] = json.loads(output)
    return answer


def ref(**metadata: str) -> dict[str, Any]:
    return {"name": "checkout", "namespace": "shop", "scalerMetadata": metadata}


async def test_keda_gets_spec_value_and_activity(serve: Serve, kafka: str, prefix: str) -> None:
    service = await serve(KedaService)
    early = await call(service, "GetMetrics", {"scaledObjectRef": ref(), "metricName": "m"})
    assert early == {"code": "UNAVAILABLE", "words": "nothing has been heard of checkout yet"}
    await tell(kafka, prefix, forecast(), command(7), command(3, sequence=T0 - 1))

    async def known() -> dict[str, Any]:
        return await call(service, "GetMetrics", {"scaledObjectRef": ref(), "metricName": "m"})

    told = await until(known, lambda found: "code" not in found, what="the commanded replicas")
    assert told == {"metricValues": [{"metricName": "m", "metricValue": "7", "metricValueFloat": 7.0}]}
    spec, load_spec, load, active, inactive, unknown, wrong = await asyncio.gather(
        call(service, "GetMetricSpec", ref()),
        call(service, "GetMetricSpec", ref(metric="load")),
        call(service, "GetMetrics", {"scaledObjectRef": ref(metric="load"), "metricName": "m"}),
        call(service, "IsActive", ref()),
        call(service, "IsActive", ref(metric="load", activationValue="250")),
        call(service, "GetMetrics", {"scaledObjectRef": ref(target="chekout")}),
        call(service, "GetMetricSpec", ref(metric="load", targetValue="-1")),
    )
    assert spec["metricSpecs"] == [
        {"metricName": "tidegate-replicas-checkout", "targetSize": "1", "targetSizeFloat": 1.0}
    ]
    assert load_spec["metricSpecs"][0]["targetSizeFloat"] == 25.0
    assert load["metricValues"][0]["metricValueFloat"] == 200.0
    assert (active, inactive) == ({"result": True}, {})
    assert unknown["code"] == "NOT_FOUND"
    assert wrong["code"] == "INVALID_ARGUMENT"


async def test_activity_is_pushed_when_it_changes(serve: Serve, kafka: str, prefix: str) -> None:
    service = await serve(KedaService)
    process = await asyncio.create_subprocess_exec(
        sys.executable, CLIENT, PROTO, f"127.0.0.1:{service.port}", "StreamIsActive", json.dumps(ref()),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdin is not None
    told = []
    for sequence, replicas in enumerate((0, 5, 6, 0)):
        await tell(kafka, prefix, command(replicas, sequence=T0 + sequence))
        if replicas != 6:  # as active as before: nothing is pushed
            told.append(json.loads(await asyncio.wait_for(process.stdout.readline(), 60))["result"])
    assert told == [False, True, False]
    process.stdin.close()
    assert json.loads(await process.stdout.readline())["code"] == "CANCELLED"
    await process.wait()


async def test_only_signed_commands_count(serve: Serve, kafka: str, prefix: str) -> None:
    signer = Signer.from_pem("planner", generate_pem())
    trusted = TrustedKeyConfig(id="planner", public_key=signer.public_pem().decode())
    await tell(kafka, prefix, signer.sign(command(4)), command(900, sequence=T0 + 1))
    service = await serve(KedaService, signing=SigningConfig(trusted=(trusted,)))
    told = await call(service, "GetMetrics", {"scaledObjectRef": ref()})
    assert told["metricValues"][0]["metricValueFloat"] == 4.0


async def test_mutual_tls_keeps_strangers_out(serve: Serve, kafka: str, prefix: str, tmp_path: Path) -> None:
    authority, strangers = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    server, client, stranger = authority.issue("localhost"), authority.issue("keda"), strangers.issue("keda")
    await tell(kafka, prefix, command(4))
    tls = TlsConfig(cert_file=str(server.cert), key_file=str(server.key), client_ca_file=str(authority.cert))
    service = await serve(KedaService, tls=tls)

    async def ask(shown: Any) -> bytes:
        credentials = grpc.ssl_channel_credentials(
            authority.cert.read_bytes(), shown.key.read_bytes(), shown.cert.read_bytes()
        )
        async with grpc.aio.secure_channel(f"localhost:{service.port}", credentials) as channel:
            asked: Any = channel.unary_unary("/externalscaler.ExternalScaler/IsActive")
            answer: bytes = await asked(b"\x0a\x08checkout", timeout=10)
            return answer

    assert await ask(client) == b"\x08\x01"
    with pytest.raises(grpc.aio.AioRpcError):
        await ask(stranger)


async def test_the_external_metrics_api(serve: Serve, kafka: str, prefix: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    server = authority.issue("localhost")
    proxy, other = authority.issue("front-proxy-client"), authority.issue("someone")
    tls = TlsConfig(cert_file=str(server.cert), key_file=str(server.key), client_ca_file=str(authority.cert))
    service = await serve(ExternalMetricsService, tls=tls, client_names=("front-proxy-client",))
    root = f"https://localhost:{service.port}/apis/external.metrics.k8s.io/v1beta1"

    async def get(url: str, shown: Any = proxy) -> tuple[int, Any]:
        context = ssl.create_default_context(cafile=str(authority.cert))
        context.load_cert_chain(shown.cert, shown.key)
        async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as response:
            return response.status, await response.json()

    load = f"{root}/namespaces/shop/tidegate_load?labelSelector=target%3Dcheckout"
    assert (await get(load, other))[0] == 403
    status, told = await get(load)
    assert (status, told["kind"], told["reason"]) == (503, "Status", "ServiceUnavailable")
    await tell(kafka, prefix, forecast(), command(7))
    await until(lambda: get(load), lambda found: found[0] == 200, what="the forecast is served")
    status, told = await get(f"{load}%2Cquantile%3D0.99%2Chorizon%3D60")
    assert told["items"][0]["value"] == "180"
    assert told["items"][0]["metricLabels"] == {"target": "checkout"}
    status, told = await get(f"{root}/namespaces/shop/tidegate_replicas?labelSelector=target%3Dcheckout")
    assert told["items"][0]["value"] == "7"
    status, resources = await get(root)
    assert {each["name"] for each in resources["resources"]} == {"tidegate_replicas", "tidegate_load"}
    context = ssl.create_default_context(cafile=str(authority.cert))
    context.load_cert_chain(proxy.cert, proxy.key)
    url = f"https://localhost:{service.port}/metrics"
    async with aiohttp.ClientSession() as session, session.get(url, ssl=context) as response:
        exposed = await response.text()
    found = {
        (metric.name, each.labels["target"], each.value)
        for metric in text_string_to_metric_families(exposed)
        for each in metric.samples
    }
    assert found == {("tidegate_replicas", "checkout", 7.0), ("tidegate_load", "checkout", 200.0)}
    assert (await get(f"{root}/namespaces/shop/other?labelSelector=target%3Dcheckout"))[0] == 404
    assert (await get(f"{root}/namespaces/shop/tidegate_load?labelSelector=target%21%3Dx"))[0] == 400


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, "serve.tls is absent"),
        ({"tls": TlsConfig(cert_file="a", key_file="b"), "client_names": ("x",)}, "client_ca_file"),
    ],
)
def test_external_metrics_ask_for_certificates(keys: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ExternalMetricsService(Config(serve=ServeConfig(**keys)), environ={}, clock=lambda: T0)
