"""The Kafka harness itself: what later tests rely on."""

import pytest

from tests.kafka.broker import Cluster, serves

pytestmark = pytest.mark.kafka


async def test_it_serves(kafka: str) -> None:
    assert await serves(kafka)


@pytest.mark.slow
async def test_a_killed_broker_comes_back_on_its_port(kafka_cluster: Cluster) -> None:
    node = kafka_cluster.nodes[1]
    port = node.port
    node.kill()
    await kafka_cluster.ready()
    node.start()
    await kafka_cluster.ready()
    assert node.port == port
    assert await serves(node.address, brokers=3)
