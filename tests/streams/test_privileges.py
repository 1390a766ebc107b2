"""The rights of the roles are those of the topics there are."""

import pytest

from streams.app import ROLES
from streams.config import KafkaConfig
from streams.privileges import Privilege, of_receiver, of_worker, require
from streams.topics import TOPICS

KAFKA = KafkaConfig(prefix="p-", group="g")


def test_every_topic_is_some_roles_to_read_or_to_write() -> None:
    # A topic that a worker may not see is one that it would try to make.
    named = {each.name for each in of_worker(KAFKA, ROLES) if each.resource == "topic"}
    assert {f"p-{spec.name}" for spec in TOPICS} <= named


def test_a_receiver_needs_no_more_than_it_uses() -> None:
    assert of_receiver(KAFKA, ()) == [Privilege("Write", "topic", "p-metrics")]
    assert Privilege("Read", "group", "g-receive") in of_receiver(KAFKA, ("otlp",))


@pytest.mark.kafka
async def test_where_nobody_asks_nothing_is_missing(kafka: str) -> None:
    await require(KAFKA, {"bootstrap_servers": kafka}, of_worker(KAFKA, ROLES))
