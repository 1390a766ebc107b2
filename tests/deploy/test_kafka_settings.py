"""The Kafka settings of docker-compose.yml, on a real Apache Kafka started with them."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams.config import read
from streams.embedded import free_port
from streams.topics import TOPICS, ensure_topics
from tests.conftest import _missing
from tests.deploy.conftest import DEPLOY
from tests.kafka.broker import KafkaUnavailableError, Node, libraries, serves

pytestmark = pytest.mark.kafka


def properties(environment: dict[str, str], node: Node) -> dict[str, str]:
    """Kafka's properties as its image makes them from the environment, moved to this machine."""
    made = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in environment.items()
    }
    ports = {"9092": str(node.port), "9093": str(node.controller_port), "19092": str(free_port())}
    for name in ("listeners", "advertised.listeners", "controller.quorum.voters"):
        for port, moved in ports.items():
            made[name] = made[name].replace(f"kafka:{port}", f"127.0.0.1:{moved}")
            made[name] = made[name].replace(f"127.0.0.1:{port}", f"127.0.0.1:{moved}")
            made[name] = made[name].replace(f"//:{port}", f"//127.0.0.1:{moved}")
    return made | {"log.dirs": str(node.folder / "data")}


@pytest.fixture
def broker(compose: dict[str, Any], tmp_path: Path) -> Iterator[Node]:
    node = Node(1, free_port(), free_port(), tmp_path)
    service = compose["services"]["kafka"]
    try:
        jars = libraries()
    except KafkaUnavailableError as error:
        _missing("Apache Kafka", error)
    lines = [f"{name}={value}\n" for name, value in properties(service["environment"], node).items()]
    settings = tmp_path / "server.properties"
    settings.write_text("".join(lines))
    java = shutil.which("java") or "java"
    format_storage = ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", settings]
    result = subprocess.run(
        [java, "-Xmx128m", "-cp", f"{jars}/*", *format_storage], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    node.start()
    try:
        yield node
    finally:
        node.kill()


async def test_the_broker_comes_up_and_takes_the_topics(broker: Node) -> None:
    async with asyncio.timeout(60):
        while not await serves(broker.address):
            assert broker.process is not None
            assert broker.process.poll() is None, broker.tail()
            await asyncio.sleep(0.2)
    config = read(DEPLOY / "tidegate.toml").kafka
    created = await ensure_topics(config, {"bootstrap_servers": broker.address})
    assert sorted(created) == sorted(topic.name for topic in TOPICS)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.address)
    await admin.start()
    try:
        answer = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
        settings = {entry[0]: entry[1] for entry in answer[0].resources[0][4]}
    finally:
        await admin.close()
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["message.max.bytes"] == "16777216"
