"""The receiver on a real Kafka: what is answered is written, and nothing that is not written is answered."""

import asyncio
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from aiokafka.admin import NewTopic
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from schemas import DeadLetter, decode, series_key
from streams.config import Config, ConfigError, KafkaConfig
from streams.config.receive import ReceiveConfig, TenantConfig
from streams.config.section import TlsConfig
from streams.receive.intake import partition_of
from streams.receive.receiver import Receiver
from tests.certificates import Authority, Certificate
from tests.integration.harness import make_topics, produce, records, until
from tests.receive.pushes import (
    MS,
    V1_TYPE,
    V2_TYPE,
    compressed,
    otlp_gauge,
    otlp_histogram,
    otlp_request,
    otlp_sum,
    v1_body,
    v2_body,
)

pytestmark = pytest.mark.kafka

T0 = 1_700_000_000_000
PARTITIONS = 4
Start = Callable[..., Awaitable[Receiver]]


@pytest.fixture
async def start(kafka: str, prefix: str) -> AsyncIterator[Start]:
    """Starts receivers on topics of this test's own."""
    running: list[Receiver] = []

    async def run(environ: dict[str, str] | None = None, brokers: str = kafka, **keys: Any) -> Receiver:
        config = Config(
            kafka=KafkaConfig(brokers=(brokers,), prefix=prefix, group=f"{prefix}g"),
            receive=ReceiveConfig(port=0, **keys),
        )
        made = Receiver(config, environ=environ or {})
        running.append(made)
        await made.start()
        return made

    await make_topics(
        kafka, NewTopic(f"{prefix}metrics", PARTITIONS, 1), NewTopic(f"{prefix}dead-letters", 1, 1)
    )
    yield run
    for each in running:
        await each.stop()


async def post(url: str, body: bytes, content_type: str, **headers: str) -> tuple[int, str, dict[str, str]]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers={"Content-Type": content_type} | headers) as response,
    ):
        return response.status, await response.text(errors="replace"), dict(response.headers)


async def pushed(url: str, body: bytes, **headers: str) -> tuple[int, str, dict[str, str]]:
    return await post(f"{url}/api/v1/write", body, V1_TYPE, **headers)


async def samples(kafka: str, prefix: str) -> list[dict[str, Any]]:
    found = [
        sample
        for record in await records(kafka, f"{prefix}metrics")
        for sample in json.loads(record.value or b"")
    ]
    return sorted(found, key=lambda each: (each["metric"], json.dumps(each["labels"]), each["ts"]))


async def test_every_series_goes_to_the_partition_of_its_key(start: Start, kafka: str, prefix: str) -> None:
    receiver = await start()
    many = [({"__name__": "up", "pod": f"p{i}"}, float(i), T0) for i in range(100)]
    assert (await pushed(receiver.url, v1_body(many)))[0] == 204
    # A producer that writes the series' key and leaves the partition to Kafka's own partitioner.
    keyed = [(series_key("up", {"pod": f"p{i}"}), json.dumps([]).encode()) for i in range(100)]
    await produce(kafka, f"{prefix}metrics", keyed)
    partitions: dict[str, set[int]] = {}
    for record in await records(kafka, f"{prefix}metrics"):
        for sample in json.loads(record.value or b""):
            partitions.setdefault(series_key("up", sample["labels"]), set()).add(record.partition)
        if record.key is not None:
            partitions.setdefault(record.key.decode(), set()).add(record.partition)
    assert len(partitions) == 100
    assert all(len(found) == 1 for found in partitions.values())
    assert {min(found) for found in partitions.values()} == set(range(PARTITIONS))
    assert all(found == {partition_of(key, PARTITIONS)} for key, found in partitions.items())


async def test_version_two_is_told_what_was_written(start: Start) -> None:
    receiver = await start()
    body = v2_body([({"__name__": "a"}, 1.0, T0), ({"__name__": "b"}, 1.0, T0)])
    status, _, headers = await post(f"{receiver.url}/api/v1/write", body, V2_TYPE)
    assert status == 204
    assert headers["X-Prometheus-Remote-Write-Samples-Written"] == "2"


async def test_good_series_of_a_push_are_written_and_the_bad_ones_named(
    start: Start, kafka: str, prefix: str
) -> None:
    receiver = await start(max_label_value=10)
    body = v1_body(
        [({"__name__": "up", "pod": "x" * 11}, 1.0, T0), ({"__name__": "up", "pod": "a"}, 2.0, T0)]
    )
    status, words, _ = await pushed(receiver.url, body)
    assert status == 400
    assert "at most 10 characters" in words
    assert [sample["value"] for sample in await samples(kafka, prefix)] == [2.0]


async def test_tenants_show_their_token_and_keep_to_their_rate(start: Start, kafka: str, prefix: str) -> None:
    tenants = (
        TenantConfig(name="a", token="${TOKEN_A}", labels={"tenant": "a"}, samples_per_s=5.0),  # noqa: S106
        TenantConfig(name="b", token="${TOKEN_B}"),  # noqa: S106
    )
    receiver = await start({"TOKEN_A": "s3cret-a", "TOKEN_B": "s3cret-b"}, tenants=tenants)
    body = v1_body([({"__name__": "up"}, 1.0, T0 + i) for i in range(5)])
    assert (await pushed(receiver.url, body))[0] == 401
    assert (await pushed(receiver.url, body, Authorization="Bearer wrong"))[0] == 401
    assert (await pushed(receiver.url, body, Authorization="Bearer s3cret-a"))[0] == 204
    status, words, headers = await pushed(receiver.url, body, Authorization="Bearer s3cret-a")
    assert status == 429
    assert "5 samples a second" in words
    assert int(headers["Retry-After"]) >= 1
    assert (await pushed(receiver.url, body, Authorization="Bearer s3cret-b"))[0] == 204
    found = await samples(kafka, prefix)
    assert len([each for each in found if each["labels"] == {"tenant": "a"}]) == 5
    async with aiohttp.ClientSession() as session, session.get(f"{receiver.url}/metrics") as response:
        told = await response.text()
    assert 'tidegate_receive_requests_total{code="429",tenant="a"} 1.0' in told
    assert 'tidegate_receive_samples_total{tenant="b"} 5.0' in told
    assert "s3cret" not in told


@pytest.mark.parametrize(
    ("keys", "environ", "words"),
    [
        ({"tenants": (TenantConfig(name="a", token="s3cret"),)}, {}, "do not belong in the file"),  # noqa: S106
        ({"tenants": (TenantConfig(name="a", token="${ABSENT}"),)}, {}, "ABSENT is not set"),  # noqa: S106
        ({"host": "0.0.0.0"}, {}, "whoever reaches the port may write"),  # noqa: S104
        ({"quantiles": (1.5,)}, {}, "receive.quantiles: 1.5"),
    ],
)
def test_what_cannot_be_served_safely_is_refused(
    keys: dict[str, Any], environ: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        Receiver(Config(receive=ReceiveConfig(**keys)), environ=environ)
    assert "s3cret" not in str(caught.value)


async def test_clients_without_a_certificate_stay_outside(
    start: Start, kafka: str, prefix: str, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    own, producer = authority.issue("localhost"), authority.issue("producer")
    stranger = Authority(tmp_path / "other").issue("producer")
    tls = TlsConfig(cert_file=str(own.cert), key_file=str(own.key), client_ca_file=str(authority.cert))
    receiver = await start(tls=tls, host="localhost")

    async def push(shown: Certificate | None) -> int:
        context = ssl.create_default_context(cafile=str(authority.cert))
        if shown is not None:
            context.load_cert_chain(shown.cert, shown.key)
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{receiver.url}/api/v1/write", data=v1_body([({"__name__": "up"}, 1.0, T0)]),
                headers={"Content-Type": V1_TYPE}, ssl=context,
            ) as response,
        ):  # fmt: skip
            return response.status

    assert await push(producer) == 204
    for other in (stranger, None):
        with pytest.raises(aiohttp.ClientError):
            await push(other)
    assert len(await samples(kafka, prefix)) == 1


async def test_too_large_and_unreadable_requests_are_told_so(start: Start, kafka: str, prefix: str) -> None:
    receiver = await start(max_body_mb=0.01)
    assert (await pushed(receiver.url, compressed(b"x" * 20_000)))[0] == 413
    assert (await pushed(receiver.url, b"x" * 20_000))[0] == 413
    assert (await pushed(receiver.url, b"x"))[0] == 400
    assert (
        await post(
            f"{receiver.url}/v1/metrics",
            gzip.compress(b"x" * 20_000),
            V1_TYPE,
            **{"Content-Encoding": "gzip"},
        )
    )[0] == 413
    assert (await post(f"{receiver.url}/v1/metrics", b"{", "application/json"))[0] == 400
    assert await samples(kafka, prefix) == []


def everything(ts: int) -> ExportMetricsServiceRequest:
    start = T0 - 60_000
    return otlp_request(
        otlp_gauge("queue.size", ts, 7),
        otlp_sum("requests", [(start, ts, 100.0 + (ts - T0) / 100)]),
        otlp_sum("connections", [(start, ts, 3.0)], monotonic=False),
        otlp_sum("bytes", [(ts - 10_000, ts, 500.0)], delta=True),
        otlp_histogram("latency", [1.0, 2.0], [(ts - 10_000, ts, [0, 10, 0], 15.0)], delta=True),
    )


EXPECTED = {
    ("queue.size", None, 7.0),
    ("requests_per_second", None, 10.0),
    ("connections", None, 3.0),
    ("bytes_per_second", None, 50.0),
    ("latency", "0.5", 1.5),
    ("latency_count_per_second", None, 1.0),
    ("latency_sum_per_second", None, 1.5),
}


async def seen(kafka: str, prefix: str, ts: int) -> set[tuple[str, str | None, float]]:
    found = [each for each in await samples(kafka, prefix) if each["ts"] == ts]
    assert all(each["labels"]["service.name"] == "checkout" for each in found)
    assert not any("host.id" in each["labels"] for each in found)
    return {(each["metric"], each["labels"].get("quantile"), each["value"]) for each in found}


@pytest.mark.parametrize("how", ["protobuf", "gzip", "json", "grpc"])
async def test_otlp_by_each_way(start: Start, kafka: str, prefix: str, how: str) -> None:
    receiver = await start(grpc_port=0, quantiles=(0.5,))
    for ts in (T0, T0 + 10_000):
        request = everything(ts)
        url = f"{receiver.url}/v1/metrics"
        if how == "grpc":
            async with grpc.aio.insecure_channel(f"127.0.0.1:{receiver.grpc_port}") as channel:
                export: Any = channel.unary_unary(
                    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
                    request_serializer=ExportMetricsServiceRequest.SerializeToString,
                    response_deserializer=ExportMetricsServiceResponse.FromString,
                )
                answer = await export(request)
                assert answer.partial_success.rejected_data_points == 0
            continue
        if how == "json":
            answered = await post(url, MessageToJson(request).encode(), "application/json")
        elif how == "gzip":
            body = gzip.compress(request.SerializeToString())
            answered = await post(url, body, V1_TYPE, **{"Content-Encoding": "gzip"})
        else:
            answered = await post(url, request.SerializeToString(), V1_TYPE)
        assert answered[0] == 200
    assert await seen(kafka, prefix, T0 + 10_000) == EXPECTED


async def test_otlp_records_on_topics_are_taken_in(start: Start, kafka: str, prefix: str) -> None:
    topic = f"{prefix}otlp"
    await make_topics(kafka, NewTopic(topic, 1, 1))
    values = [
        everything(T0).SerializeToString(),
        b"\xff\xff",
        MessageToJson(everything(T0 + 10_000)).encode(),
    ]
    await produce(kafka, topic, values)
    await start(otlp_topics=(topic,), quantiles=(0.5,))

    async def ask() -> set[tuple[str, str | None, float]]:
        return await seen(kafka, prefix, T0 + 10_000)

    await until(ask, lambda found: found == EXPECTED, what="all samples of the topic")
    (letter,) = [decode(r.value or b"", DeadLetter) for r in await records(kafka, f"{prefix}dead-letters")]
    assert (letter.topic, letter.offset) == (topic, 1)
    assert "no OTLP metrics request" in letter.reason


async def test_a_delta_told_without_its_start_is_counted_not_guessed(
    start: Start, kafka: str, prefix: str
) -> None:
    receiver = await start()
    request = otlp_request(otlp_sum("bytes", [(0, T0, 500.0)], delta=True))
    assert (await post(f"{receiver.url}/v1/metrics", request.SerializeToString(), V1_TYPE))[0] == 200
    assert await samples(kafka, prefix) == []
    async with aiohttp.ClientSession() as session, session.get(f"{receiver.url}/metrics") as response:
        assert 'reason="delta-without-start",tenant="anyone"} 1.0' in await response.text()


async def test_an_exponential_histogram_counts_by_its_own_scale(
    start: Start, kafka: str, prefix: str
) -> None:
    receiver = await start(quantiles=(0.5,))
    request = otlp_request()
    metric = request.resource_metrics[0].scope_metrics[0].metrics.add(name="latency")
    metric.exponential_histogram.aggregation_temporality = 1  # type: ignore[assignment]
    point = metric.exponential_histogram.data_points.add(
        start_time_unix_nano=(T0 - 10_000) * MS, time_unix_nano=T0 * MS, count=10, sum=30.0, scale=0
    )
    point.positive.offset = 1  # scale 0, index 1: (2, 4]
    point.positive.bucket_counts.append(10)
    assert (await post(f"{receiver.url}/v1/metrics", request.SerializeToString(), V1_TYPE))[0] == 200
    (median,) = [each["value"] for each in await samples(kafka, prefix) if each["metric"] == "latency"]
    assert median == pytest.approx(3.0)


async def test_while_kafka_is_away_producers_are_told_to_come_again(own_kafka: Any) -> None:
    address = own_kafka.address
    await make_topics(address, NewTopic("metrics", 1, 1))
    config = Config(
        kafka=KafkaConfig(brokers=(address,)),
        receive=ReceiveConfig(port=0, kafka_timeout_s=0.5, max_in_flight_mb=0.0005),
    )
    receiver = Receiver(config, environ={})
    await receiver.start()
    try:
        counter = {"__name__": "jobs_total"}
        assert (await pushed(receiver.url, v1_body([(counter, 0.0, T0)])))[0] == 204
        own_kafka.nodes[0].freeze()
        body = v1_body([(counter, 50.0, T0 + 10_000)])
        status, words, headers = await pushed(receiver.url, body)
        assert status == 503
        assert "send them again" in words
        assert "Retry-After" in headers
        # While one push waits for Kafka there is no room for more than the configured bytes.
        large = v1_body([({"__name__": "a", "b": "x" * 700}, 1.0, T0)])
        both = await asyncio.gather(*(pushed(receiver.url, large) for _ in range(3)))
        assert {status for status, _, _ in both} == {503}
        assert any("wait for Kafka" in words for _, words, _ in both)
        own_kafka.nodes[0].thaw()

        async def again() -> int:
            return (await pushed(receiver.url, body))[0]

        await until(again, lambda status: status == 204, what="the push that comes again is taken")
        found = [
            sample
            for record in await records(address, "metrics")
            for sample in json.loads(record.value or b"")
        ]
        rates = {(s["ts"], s["value"]) for s in found if s["metric"] == "jobs_per_second"}
        assert rates == {(T0 + 10_000, 5.0)}
    finally:
        own_kafka.nodes[0].thaw()
        await receiver.stop()
