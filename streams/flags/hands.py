"""Hands on flags: the share of a canary is the percentage of a flag.

In the configuration: `kind = "streams.flags.hands:make"`, `params = { kafka = { brokers = ["…"] }, flags =
{ shop = "new-checkout" } }`.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from actuators import Applied, ConfigurationError, NotSupported, Unavailable, UnknownTarget
from schemas import Command, Flag, Promote, Rollback, SetTraffic, encode
from streams.access import client_settings
from streams.config import KafkaConfig

TOPIC = "flags"


class FlagsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`flags` names the flag of each target; `on` and `off` are its variants, with these values."""

    flags: dict[str, str]
    kafka: KafkaConfig = KafkaConfig()
    on: Any = True
    off: Any = False


class FlagHands:
    """Writes rules to the topic; whoever reads it follows."""

    name = "flags"
    kinds = frozenset({"set-traffic", "promote", "rollback"})
    repeatable = True  # each sets a percentage

    def __init__(self, config: FlagsConfig, env: Mapping[str, str]) -> None:
        self._config = config
        self._settings = client_settings(config.kafka, env)
        self._producer: AIOKafkaProducer | None = None

    async def apply(self, command: Command) -> Applied:
        """Write the rule that gives the release its share. See `Actuator.apply` for the errors."""
        key = self._config.flags.get(command.target)
        if key is None:
            known = ", ".join(sorted(self._config.flags)) or "none"
            raise UnknownTarget(f"no flag is configured for target {command.target}; configured: {known}")
        match command.action:
            case SetTraffic(percent=share):
                percent = share
            case Promote():
                percent = 100.0
            case Rollback():
                percent = 0.0
            case _:
                able = ", ".join(sorted(self.kinds))
                raise NotSupported(f"flags cannot {command.kind}; they can {able}")
        flag = Flag(
            key=key,
            variants={"on": self._config.on, "off": self._config.off},
            default="off",
            percents={"on": percent} if percent else {},
            version=command.sequence,
            release=command.action.release,
            by="tidegate",
            reason="; ".join(command.reasons),
        )
        try:
            producer = await self._connected()
            topic = f"{self._config.kafka.prefix}{TOPIC}"
            await producer.send_and_wait(topic, encode(flag), key=key.encode())
        except (KafkaError, OSError) as error:
            raise Unavailable(f"flag {key} could not be written: {error}", attempts=1) from error
        return Applied(detail=f"flag {key}: {percent:g} % get {command.action.release}", changed=True)

    async def replicas(self, target: str) -> int:
        """A flag has none."""
        raise NotSupported("flags have no replicas")

    async def close(self) -> None:
        """Close the connection."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(**self._settings, acks="all")
            await producer.start()
            self._producer = producer
        return self._producer


def make(params: Mapping[str, Any], env: Mapping[str, str]) -> FlagHands:
    """The actuator, from the configuration's `params`.

    Raises:
        ConfigurationError: the parameters are not its own.
    """
    try:
        return FlagHands(msgspec.convert(dict(params), FlagsConfig), env)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"actuator flags: {error}") from error
