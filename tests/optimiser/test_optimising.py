"""The optimiser on a broker: forecasts in, commands out, nothing more where all is as planned."""

import asyncio
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import Command, Forecast, Scale, decode, encode
from streams.config import parse
from streams.embedded import EmbeddedBroker
from streams.optimising import Optimiser

NOW = 1_700_000_000_000

TOML = """
[kafka]
brokers = ["{broker}"]

[cluster]
capacity = {{ slots = 30.0 }}
interval_s = 60

[[targets]]
name = "web"
load = "rps"
replicas = "pods"
mode = "cluster"
priority = 1
uses = {{ slots = 1.0 }}
scale = {{ capacity = 10.0, startup_s = 120 }}

[[targets]]
name = "batch"
load = "rps"
replicas = "pods"
mode = "cluster"
uses = {{ slots = 1.0 }}
scale = {{ capacity = 10.0, startup_s = 120 }}

[[targets]]
name = "silent"
load = "rps"
replicas = "pods"
mode = "cluster"
uses = {{ slots = 1.0 }}
scale = {{ capacity = 10.0, startup_s = 120 }}
"""


def _forecast(target: str, ts: int) -> Forecast:
    return Forecast(
        id=f"{target}:forecast:{ts}", target=target, ts=ts, observed=100.0,
        horizons_ms=[60_000, 180_000, 3_600_000], levels=[0.5, 0.9, 0.99],
        values=[[100.0, 110.0, 120.0], [150.0, 160.0, 170.0], [900.0, 950.0, 999.0]], model="m", skill=0.5,
    )  # fmt: skip


def _scale(target: str, replicas: int) -> Command:
    return Command(
        id=f"{target}:scale:1", target=target, sequence=1, action=Scale(replicas=replicas, previous=1),
        reasons=[], issued_at=1, expires_at=2,
    )  # fmt: skip


async def _commands(broker: EmbeddedBroker, count: int) -> list[Command]:
    consumer = AIOKafkaConsumer(
        "commands", bootstrap_servers=broker.address, auto_offset_reset="earliest", fetch_max_wait_ms=100
    )
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            found: list[Command] = []
            while len(found) < count:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [decode(record.value, Command) for record in records]
            return found
    finally:
        await consumer.stop()


async def test_forecasts_become_commands_within_the_shared_capacity(
    embedded_broker: EmbeddedBroker, tmp_path: Path
) -> None:
    config = parse(TOML.format(broker=embedded_broker.address))
    async with AIOKafkaProducer(bootstrap_servers=embedded_broker.address) as producer:
        for target, age_ms in (("web", 10_000), ("batch", 20_000), ("silent", 3_600_000)):
            forecast = encode(_forecast(target, NOW - age_ms))
            await producer.send_and_wait("forecasts", forecast, key=target.encode())
        await producer.send_and_wait("commands", encode(_scale("silent", 7)), key=b"silent")
    first, second = (Optimiser(config, environ={}, clock=lambda: NOW) for _ in range(2))
    await first.start()
    try:
        _, *commands = sorted(await _commands(embedded_broker, 3), key=lambda command: command.sequence)
    finally:
        await first.stop()
    at = NOW - NOW % 60_000
    assert {command.id for command in commands} == {f"web:scale:{at}", f"batch:scale:{at}"}
    counts = {command.target: command.action.replicas for command in commands}
    # Seven stay with the one that is silent; web comes first and gets all that a load of 170 asks for.
    assert counts["web"] >= 16
    assert sum(counts.values()) == 23
    assert all("cluster plan" in command.reasons[0] for command in commands)
    assert all(command.expires_at == at + 300_000 for command in commands)
    # Another that begins now finds all as it would have it: the plan is the same, and nothing is commanded.
    await second.start()
    try:
        plan = await second.publish(at)
    finally:
        await second.stop()
    assert plan.counts() == counts | {"silent": 7}
    assert len(await _commands(embedded_broker, 3)) == 3
