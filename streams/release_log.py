"""Telling of releases on `events`, and reading back on `releases` what was done to them."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from planners.releases import History
from schemas import Deployment, ReleaseChange, ReleaseOrder, decode, encode
from streams.access import client_settings
from streams.config import Config, ConfigError
from streams.tail import tail


async def tell(config: Config, message: Deployment | ReleaseOrder, environ: Mapping[str, str]) -> None:
    """Write `message` to `events`; it is with the brokers when this returns.

    Raises:
        ConfigError: the configuration has no such target, or its releases are not judged.
        KafkaError: the brokers cannot be reached, or refuse it.
    """
    _judged(config, message.target)
    async with AIOKafkaProducer(**client_settings(config.kafka, environ), acks="all") as producer:
        topic = f"{config.kafka.prefix}events"
        await producer.send_and_wait(topic, encode(message), key=message.target.encode())


async def changes(config: Config, target: str, environ: Mapping[str, str]) -> list[ReleaseChange]:
    """What was done to the releases of `target`, oldest first, each change once.

    Raises:
        ConfigError: the configuration has no such target.
        TailError: there is no such topic.
        KafkaError: the brokers cannot be reached.
    """
    _judged(config, target)
    connection: Mapping[str, Any] = client_settings(config.kafka, environ)
    found: dict[str, ReleaseChange] = {}
    async for record in tail(
        f"{config.kafka.prefix}releases", connection=connection, last=None, follow=False
    ):
        change = decode(record.value or b"", ReleaseChange)
        if change.target == target:
            found.setdefault(change.id, change)
    return sorted(found.values(), key=lambda change: change.ts)


def standing(told: Sequence[ReleaseChange]) -> tuple[str | None, str | None]:
    """Which release runs now, and which one was last known to be good, as far as the audit says."""
    history = History()
    for change in told:
        if change.what == "deployed":
            history = history.deployed(change.ts, change.release)
        elif change.what == "promoted":
            history = history.promoted(change.ts, change.release)
        elif change.what == "rolled-back":
            history = history.rolled_back(change.ts, change.release, change.to)
    return history.current, history.last_good()


def _judged(config: Config, name: str) -> None:
    judged = [target.name for target in config.targets if target.release is not None]
    if name not in judged:
        raise ConfigError(
            f"no target `{name}` with a [targets.release] table; known: {', '.join(sorted(judged)) or 'none'}"
        )
