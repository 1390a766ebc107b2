"""OTLP records that collectors write to Kafka, taken in like pushed ones."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from schemas import encode
from streams.config import Config
from streams.ingest import dead_letter
from streams.receive import otlp
from streams.receive.errors import Busy, Unreadable
from streams.receive.intake import Intake
from streams.receive.tenant import Tenant
from streams.topics import DEAD_LETTERS

log = logging.getLogger(__name__)

POLL_MS = 1_000
RECORDS = 100
AGAIN_S = 1.0


class TopicReader:
    """Reads `receive.otlp_topics` in a group of its own; commits what is written."""

    def __init__(self, config: Config, connection: Mapping[str, Any], intake: Intake, tenant: Tenant) -> None:
        self._config = config
        self._connection = dict(connection)
        self._intake = intake
        self._tenant = tenant
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Join the group and begin.

        Raises:
            KafkaError: the brokers cannot be reached.
        """
        self._consumer = AIOKafkaConsumer(
            *self._config.receive.otlp_topics,
            **self._connection,
            group_id=f"{self._config.kafka.group}-receive",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        self._letters = AIOKafkaProducer(**self._connection, acks="all")
        await self._letters.start()
        await self._consumer.start()
        self._tasks = [asyncio.create_task(self._run())]

    @property
    def ended(self) -> BaseException | None:
        """Why it reads no more; None while it does."""
        done = [task for task in self._tasks if task.done() and not task.cancelled()]
        return done[0].exception() if done else None

    async def stop(self) -> None:
        """Leave the group; what is not written will be read again."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._consumer.stop()
        await self._letters.stop()

    async def _run(self) -> None:
        while True:
            batches = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS)
            for records in batches.values():
                for record in records:
                    await self._record(record)
            if batches:
                await self._consumer.commit()

    async def _record(self, record: ConsumerRecord[bytes, bytes]) -> None:
        value = record.value or b""
        draft = self._intake.draft()
        try:
            # A protobuf message of these fields never begins with this byte.
            pushed = otlp.parse(value, json=value[:1] == b"{")
            otlp.read(pushed, self._config.receive.resource_attributes, self._tenant, draft)
        except Unreadable as error:
            await self._dead(record, str(error))
            return
        if draft.refused:
            await self._dead(record, f"{draft.refused} samples refused: {'; '.join(draft.faults)}")
        while True:
            try:
                await self._intake.write(self._tenant, draft)
            except Busy:
                await asyncio.sleep(AGAIN_S)  # nothing waits for an answer: try until it is written
            else:
                return

    async def _dead(self, record: Any, reason: str) -> None:
        topic = self._config.kafka.prefix + DEAD_LETTERS.name
        letter = encode(dead_letter(record, reason))
        await self._letters.send_and_wait(topic, letter, key=record.topic.encode())
