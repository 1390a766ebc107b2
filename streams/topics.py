"""The topics, how they are laid out, and making them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from streams.config import KafkaConfig

MAX_RECORD_BYTES = 16 * 1024 * 1024


class TopicError(RuntimeError):
    """A topic is not as it must be; the text names it and says what to do."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic's plain name, and its cleanup policy."""

    name: str
    cleanup: str = "delete"


METRICS = TopicSpec("metrics")
EVENTS = TopicSpec("events")
ANOMALIES = TopicSpec("anomalies")
ALERTS = TopicSpec("alerts", "compact,delete")
FORECASTS = TopicSpec("forecasts")
COMMANDS = TopicSpec("commands")
OUTCOMES = TopicSpec("outcomes")
RELEASES = TopicSpec("releases")  # the audit: what was done to which release, by whom, why
COSTS = TopicSpec("costs", "compact")
FLAGS = TopicSpec("flags", "compact")
MODELS = TopicSpec("models", "compact")
DEAD_LETTERS = TopicSpec("dead-letters")
# Internal ones:
SIGNALS = TopicSpec("signals")  # from the partitions of metrics to those of the targets
CHANGES = TopicSpec("changes")  # of alerts, from the partitions of metrics to those of the groups
DETECT_CONTROL = TopicSpec("detect-control")  # feedback, and the time, to each partition of metrics
ALERT_CONTROL = TopicSpec("alert-control")  # silences and maintenance windows, to each partition of groups

TOPICS = (
    METRICS,
    EVENTS,
    ANOMALIES,
    ALERTS,
    FORECASTS,
    COMMANDS,
    OUTCOMES,
    RELEASES,
    COSTS,
    FLAGS,
    MODELS,
    DEAD_LETTERS,
    SIGNALS,
    CHANGES,
    DETECT_CONTROL,
    ALERT_CONTROL,
)
INTERNAL = (SIGNALS, CHANGES, DETECT_CONTROL, ALERT_CONTROL)


async def ensure_topics(kafka: KafkaConfig, settings: Mapping[str, Any]) -> list[str]:
    """Create the topics that are missing; return their full names.

    Raises:
        TopicError: a topic may not be created, or has another number of partitions than configured.
        KafkaError: the brokers cannot be reached.
    """
    admin = AIOKafkaAdminClient(**settings)
    await admin.start()
    try:
        found = {
            topic["topic"]: topic
            for topic in await admin.describe_topics([kafka.prefix + t.name for t in TOPICS])
        }
        present = {name for name, topic in found.items() if topic["error_code"] == 0}
        for name in sorted(present):
            _check_partitions(name, len(found[name]["partitions"]), kafka.partitions)
        # What this user may not see is other workers' business: a role needs no rights on all topics.
        unseen = {
            name
            for name, topic in found.items()
            if topic["error_code"] == TopicAuthorizationFailedError.errno
        }
        missing = [spec for spec in TOPICS if kafka.prefix + spec.name not in present | unseen]
        if missing:
            await _create(admin, missing, kafka)
    finally:
        await admin.close()
    return [kafka.prefix + spec.name for spec in missing]


def _check_partitions(name: str, found: int, wanted: int) -> None:
    # Targets meet their signals, events and outcomes in one worker only where partition numbers agree.
    if found != wanted:
        raise TopicError(
            f"topic {name} has {found} partitions, kafka.partitions is {wanted}: "
            "all topics need the same number; set kafka.partitions to it, or make the topic anew"
        )


async def _create(admin: AIOKafkaAdminClient, missing: list[TopicSpec], kafka: KafkaConfig) -> None:
    answer = await admin.create_topics([_new_topic(spec, kafka) for spec in missing])
    for name, code, *message in answer.topic_errors:  # type: ignore[attr-defined]
        error = for_code(code)
        if error in (TopicAuthorizationFailedError, ClusterAuthorizationFailedError):
            raise TopicError(f"the Kafka user lacks: Create on topic {name}; grant it, or make the topic")
        if code != 0 and error is not TopicAlreadyExistsError:  # another worker was faster
            raise TopicError(
                f"topic {name} cannot be created: {error.__name__} {message[0] if message else ''}"
            )


def _new_topic(spec: TopicSpec, kafka: KafkaConfig) -> NewTopic:
    return NewTopic(
        kafka.prefix + spec.name,
        kafka.partitions,
        kafka.replication,
        topic_configs={
            "cleanup.policy": spec.cleanup,
            "retention.ms": str(int(kafka.retention_hours * 3_600_000)),
            "max.message.bytes": str(MAX_RECORD_BYTES),
        },
    )


async def partitions_of(topic: str, connection: Mapping[str, Any]) -> list[TopicPartition]:
    """The partitions of `topic`, in order; none where there is no such topic.

    A consumer that has not subscribed to the topic does not know them. `connection` are aiokafka's keyword
    arguments.

    Raises:
        KafkaError: the brokers cannot be reached.
    """
    admin = AIOKafkaAdminClient(**connection)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    return [
        TopicPartition(topic, number) for number in sorted(each["partition"] for each in found["partitions"])
    ]
