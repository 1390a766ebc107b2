"""Waiting for the brokers, as services do that are started beside them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from streams.config import KafkaConfig

log = logging.getLogger(__name__)

AGAIN_S = 2.0


async def for_brokers(
    kafka: KafkaConfig,
    connection: Mapping[str, Any],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Return when a broker answers; say so in the log while none does.

    Raises:
        KafkaError: one answers, and refuses.
    """
    while True:
        admin = AIOKafkaAdminClient(**connection)
        try:
            await admin.start()
        except (KafkaConnectionError, OSError) as error:
            log.warning("no Kafka broker answers at %s (%s); trying again", ", ".join(kafka.brokers), error)
            await sleep(AGAIN_S)
        else:
            return
        finally:
            await admin.close()
