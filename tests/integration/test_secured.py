"""TLS, SASL and ACLs on a real broker: least rights are enough, and what is missing is named."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from streams.config import KafkaConfig
from streams.topics import TOPICS
from tests.integration.harness import (
    Setting,
    WorkerProcess,
    make_topics,
    payload,
    produce,
    records,
    sample,
    tidegate,
    until,
)
from tests.kafka.broker import KafkaUnavailableError
from tests.kafka.secured import SecuredBroker

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]

PASSWORD = "s3cret-of-the-worker"


@pytest.fixture(scope="module")
def broker() -> Iterator[SecuredBroker]:
    made = SecuredBroker({"worker": PASSWORD, "poor": "s3cret-of-the-poor"})
    try:
        made.start()
    except KafkaUnavailableError as error:
        made.stop()
        if os.environ.get("CI") == "true":
            pytest.fail(f"Apache Kafka is required in CI: {error}", pytrace=False)
        pytest.skip(f"Apache Kafka: {error}")
    yield made
    made.stop()


def written(path: Path, broker: SecuredBroker, redis: str, prefix: str, user: str) -> Path:
    path.write_text(f"""
[kafka]
brokers = ["{broker.sasl}"]
security = "SASL_SSL"
ca_file = "{broker.authority.cert}"
sasl_username = "{user}"
group = "{prefix}g"
prefix = "{prefix}"
partitions = 1

[ledger]
url = "{redis}"
namespace = "{prefix}"

[telemetry]
port = 0

[state]
checkpoint_s = 0.3
""")
    return path


async def topics(broker: SecuredBroker, prefix: str) -> None:
    """As an administrator makes them: the worker may not."""
    changelogs = [f"{prefix}g-{stage}-state-changelog" for stage in ("detect", "alert", "plan")]
    names = [*(prefix + spec.name for spec in TOPICS), *changelogs]
    compact = {"cleanup.policy": "compact", "max.message.bytes": str(16 * 2**20)}
    await make_topics(
        broker.admin,
        *(NewTopic(name, 1, 1, topic_configs=compact if name in changelogs else {}) for name in names),
    )


async def test_a_worker_with_least_rights_works_and_one_without_is_told_which(
    broker: SecuredBroker, redis_url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topics(broker, prefix)
    config = written(tmp_path / "tidegate.toml", broker, redis_url, prefix, "worker")
    monkeypatch.setenv("TIDEGATE_SASL_PASSWORD", PASSWORD)
    code, words = await tidegate("worker", "-c", str(config))
    assert code == 1
    assert f"Read on topic {prefix}metrics" in words
    assert f"Read on group {prefix}g" in words

    code, least = await tidegate("acls", "-c", str(config), "--principal", "User:worker")
    assert code == 0
    lines = least.strip().splitlines()
    without = [line for line in lines if not ("Write" in line and "outcomes" in line)]
    assert len(without) == len(lines) - 1
    assert await broker.grant("\n".join(without)) == len(without)

    async def told() -> str:
        return (await tidegate("check", "-c", str(config)))[1]

    await until(
        told,
        lambda text: f"the Kafka user lacks: Write on topic {prefix}outcomes. Grant it" in text,
        what="the one missing right is named",
    )
    grant = re.search(r"--add .*", await told())
    assert grant is not None
    assert await broker.grant(grant[0]) == 1

    setting = Setting(path=config, kafka=broker.admin, redis=redis_url, prefix=prefix)
    process = WorkerProcess(setting, tmp_path / "log", environ={"TIDEGATE_SASL_PASSWORD": PASSWORD}).start()
    try:
        await process.ready()
        now = time.time_ns() // 1_000_000
        good = payload(sample("cpu", now, 1.0, pod="a"))
        await produce(broker.admin, f"{prefix}metrics", [good, b"not json"])
        changelog = f"{prefix}g-detect-state-changelog"

        async def left() -> tuple[int, int]:
            letters = await records(broker.admin, f"{prefix}dead-letters")
            return len(letters), len(await records(broker.admin, changelog))

        await until(
            left, lambda counts: counts[0] == 1 and counts[1] > 0, what="dead letter and state are written"
        )
        assert await process.stop() == 0
        assert PASSWORD not in process.text
    finally:
        process.kill()


async def test_a_role_needs_its_own_rights_only(
    broker: SecuredBroker, redis_url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topics(broker, prefix)
    config = written(tmp_path / "tidegate.toml", broker, redis_url, prefix, "poor")
    code, least = await tidegate("acls", "-c", str(config), "--principal", "User:poor", "--roles", "act")
    assert code == 0
    assert await broker.grant(least) == len(least.strip().splitlines()) < 6
    setting = Setting(path=config, kafka=broker.admin, redis=redis_url, prefix=prefix)
    environ = {"TIDEGATE_SASL_PASSWORD": "s3cret-of-the-poor"}
    process = WorkerProcess(setting, tmp_path / "log", roles="act", environ=environ)
    try:
        process.start()
        await process.ready()
        assert await process.stop() == 0
    finally:
        process.kill()


async def test_a_wrong_password_is_told_and_not_shown(
    broker: SecuredBroker, redis_url: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = written(tmp_path / "tidegate.toml", broker, redis_url, prefix, "worker")
    monkeypatch.setenv("TIDEGATE_SASL_PASSWORD", "s3cret-but-wrong")
    code, words = await tidegate("check", "-c", str(config))
    assert code == 1
    assert "s3cret" not in words
    monkeypatch.delenv("TIDEGATE_SASL_PASSWORD")
    code, words = await tidegate("check", "-c", str(config))
    assert "the password in the environment variable TIDEGATE_SASL_PASSWORD" in words


async def test_mutual_tls_with_a_certificate_as_the_user(
    broker: SecuredBroker, redis_url: str, prefix: str, tmp_path: Path
) -> None:
    await topics(broker, prefix)
    client = broker.authority.issue("receiver")
    config = tmp_path / "tidegate.toml"
    config.write_text(f"""
[kafka]
brokers = ["{broker.mutual}"]
security = "SSL"
ca_file = "{broker.authority.cert}"
cert_file = "{client.cert}"
key_file = "{client.key}"
prefix = "{prefix}"

[receive]
port = 0
""")
    code, words = await tidegate("receive", "-c", str(config))
    assert code == 1
    assert f"the Kafka user lacks: Write on topic {prefix}metrics" in words
    code, lines = await tidegate(
        "acls", "-c", str(config), "--part", "receiver", "--principal", "User:CN=receiver"
    )
    assert await broker.grant(lines) == 1

    from streams.access import client_settings  # noqa: PLC0415
    from streams.privileges import missing, of_receiver  # noqa: PLC0415

    kafka = KafkaConfig(
        brokers=(broker.mutual,), security="SSL", ca_file=str(broker.authority.cert),
        cert_file=str(client.cert), key_file=str(client.key), prefix=prefix,
    )  # fmt: skip

    async def lacking() -> int:
        return len(await missing(client_settings(kafka, {}), of_receiver(kafka, ())))

    await until(lacking, lambda count: count == 0, what="the right is in force")
