"""The newest forecast and scale command of each target, kept up to date from their topics."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer

from actuators import ActuationError
from actuators.execute import Verify
from schemas import Command, Forecast, Scale, SchemaError, decode
from streams.access import client_settings
from streams.config import Config
from streams.ports import PortError
from streams.privileges import of_server, require
from streams.serve.figures import Known
from streams.signatures import verifier
from streams.topics import COMMANDS, FORECASTS, partitions_of
from streams.waiting import for_brokers

log = logging.getLogger(__name__)

POLL_MS = 200
WATCH_S = 1.0


class Board:
    """Reads without a group: each process that serves sees all targets. `clock` gives Unix ms.

    Commands count in the order of their sequence; those that `verify` refuses do not.
    """

    def __init__(
        self,
        config: Config,
        connection: Mapping[str, Any],
        *,
        verify: Verify | None,
        clock: Callable[[], int],
    ) -> None:
        self._kafka = config.kafka
        self._prefix = config.kafka.prefix
        self._connection = dict(connection)
        self._verify = verify
        self._clock = clock
        self._known: dict[str, Known] = {}
        self._changed = asyncio.Condition()
        self._version = 0
        self._task: asyncio.Task[None] | None = None

    def of(self, target: str) -> Known | None:
        """What is known of a target; None where nothing is."""
        return self._known.get(target)

    async def newer(self, version: int) -> int:
        """Return when more has been heard than at `version` (-1: at once), with the next `version`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._version > version)
            return self._version

    @property
    def ended(self) -> BaseException | None:
        """Why it reads no more; None while it does."""
        task = self._task
        return task.exception() if task is not None and task.done() and not task.cancelled() else None

    async def start(self) -> None:
        """Wait for the brokers, read what there is, then go on in the background.

        Raises:
            KafkaError: the brokers refuse.
            AccessError: the Kafka user lacks a right.
        """
        await for_brokers(self._kafka, self._connection)
        await require(self._kafka, self._connection, of_server(self._kafka))
        self._consumer = AIOKafkaConsumer(**self._connection, enable_auto_commit=False, fetch_max_wait_ms=100)
        await self._consumer.start()
        partitions = [
            partition
            for spec in (COMMANDS, FORECASTS)
            for partition in await partitions_of(self._prefix + spec.name, self._connection)
        ]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_beginning()
        ends = await self._consumer.end_offsets(partitions)
        while any([await self._consumer.position(tp) < end for tp, end in ends.items()]):
            await self._poll()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._consumer.stop()

    async def _run(self) -> None:
        while True:
            await self._poll()

    async def _poll(self) -> None:
        batches = await self._consumer.getmany(timeout_ms=POLL_MS)
        for records in batches.values():
            for record in records:
                self._hear(record)
        if batches:
            async with self._changed:
                self._version += 1
                self._changed.notify_all()

    def _hear(self, record: Any) -> None:
        try:
            message = decode(record.value or b"", Command | Forecast)  # type: ignore[arg-type]
        except SchemaError as error:
            log.warning(
                "%s, partition %d, offset %d: %s", record.topic, record.partition, record.offset, error
            )
            return
        known = self._known.setdefault(message.target, Known())
        if isinstance(message, Forecast):
            if known.forecast is None or message.ts >= known.forecast.ts:
                known.forecast = message
                known.heard = max(known.heard, record.timestamp)
        elif isinstance(message.action, Scale) and self._counts(message, record):
            newer = known.command is None or message.sequence >= known.command.sequence
            if newer:
                known.command = message
                known.heard = max(known.heard, record.timestamp)

    def _counts(self, command: Command, record: Any) -> bool:
        if self._verify is None:
            return True
        try:
            self._verify(command)
        except ActuationError as error:
            log.warning(
                "%s, partition %d, offset %d: command %s does not count: %s",
                record.topic, record.partition, record.offset, command.id, error,
            )  # fmt: skip
            return False
        return True


def open_board(config: Config, environ: Mapping[str, str], clock: Callable[[], int]) -> Board:
    """The board of `config`; it connects when it is started.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    connection = client_settings(config.kafka, environ)
    return Board(config, connection, verify=verifier(config.signing), clock=clock)


async def watch(board: Board) -> None:
    """Return never.

    Raises:
        PortError: the topics cannot be read any more.
    """
    while True:
        await asyncio.sleep(WATCH_S)
        if (reason := board.ended) is not None:
            raise PortError(f"reading forecasts and commands ended: {reason}") from reason
