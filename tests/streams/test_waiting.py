"""Services that start before their brokers wait for them."""

import logging

import pytest

from streams.config import KafkaConfig
from streams.embedded import EmbeddedBroker, free_port
from streams.waiting import for_brokers


async def test_it_waits_until_a_broker_answers(caplog: pytest.LogCaptureFixture) -> None:
    port = free_port()
    broker = EmbeddedBroker(port)
    kafka = KafkaConfig(brokers=(f"127.0.0.1:{port}",))
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 2:
            await broker.start()

    try:
        with caplog.at_level(logging.WARNING, "streams.waiting"):
            await for_brokers(kafka, {"bootstrap_servers": kafka.brokers[0]}, sleep)
    finally:
        await broker.stop()
    assert len(waited) == 2
    told = [line for line in caplog.messages if "no Kafka broker answers at 127.0.0.1" in line]
    assert len(told) == 2
