"""Writing a stage's outputs to their topics."""

import asyncio
import logging
from collections.abc import Awaitable

import faust
import msgspec
from aiokafka.errors import KafkaError

from schemas import DeadLetter, decode, encode
from streams.output import Output

log = logging.getLogger(__name__)

SHORT = 1_000  # characters of a reason in a dead letter that must be small


class Delivery:
    """Sends outputs through the app's producer; `prefix` goes before topic names."""

    def __init__(self, app: faust.App, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def send(self, item: Output) -> Awaitable[object]:
        """Hand `item` to the producer; it is written when what is returned has been awaited.

        A dead letter that the broker does not take is tried again without the record's bytes, and at
        last written to the log: what cannot be used must not stop what can.

        Raises:
            KafkaError: (when awaited) any other record is not taken.
        """
        if item.topic == "dead-letters":
            return asyncio.create_task(self._set_aside(item))
        return await self._produce(item)

    async def _produce(self, item: Output) -> Awaitable[object]:
        topic = self._prefix + item.topic
        return await self._app.producer.send(topic, item.key, item.value, None, None, None)

    async def _set_aside(self, item: Output) -> None:
        letter = decode(item.value, DeadLetter)
        short = msgspec.structs.replace(letter, key=None, value=None, reason=letter.reason[:SHORT])
        for value in (item.value, encode(short)):
            try:
                await (await self._produce(item._replace(value=value)))
            except KafkaError as error:
                refusal = error
            else:
                return
        log.error(
            "no dead letter could be written (%s) for the record at %s, partition %d, offset %d, which was "
            "refused because: %s",
            refusal, letter.topic, letter.partition, letter.offset, letter.reason,
        )  # fmt: skip
