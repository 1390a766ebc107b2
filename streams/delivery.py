"""Outputs on their way to the brokers, and what becomes of those that a topic refuses."""

import asyncio
import logging
from collections.abc import Awaitable

import faust
import msgspec
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)
from faust.exceptions import ProducerSendError

from schemas import DeadLetter, decode
from streams.output import Output, output
from streams.topics import DEAD_LETTERS, MAX_RECORD_BYTES

log = logging.getLogger(__name__)

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_SHORT_REASON = 200  # characters


class RefusedError(RuntimeError):
    """A topic does not take what is written to it; the text names it and says what to do."""


class Delivery:
    """Writes outputs of one source in their order; `prefix` goes before topic names.

    A topic that refuses a record stops the worker, since what follows may not overtake it. Dead letters
    are the exception: one that is too large for its topic is written anew without the record's bytes, and
    where that is refused too, the log alone has it. Bad input must not stop good input.
    """

    def __init__(self, app: faust.App, prefix: str) -> None:
        self._app = app
        self._prefix = prefix
        self._sent: list[tuple[Output, Awaitable[object]]] = []
        self._unwritten = 0

    async def put(self, item: Output) -> None:
        """Send `item`; `settle` tells whether it was written."""
        self._sent.append((item, await self._send(item)))

    async def settle(self) -> None:
        """Return when all that was put is written.

        Raises:
            RefusedError: some of it never will be.
        """
        sent, self._sent = self._sent, []
        results = await asyncio.gather(*(future for _, future in sent), return_exceptions=True)
        for (item, _), result in zip(sent, results, strict=True):
            if isinstance(result, KafkaError):
                await self._refused(item, result)
            elif isinstance(result, BaseException):
                raise result

    async def _send(self, item: Output) -> Awaitable[object]:
        topic = self._prefix + item.topic
        try:
            return await self._app.producer.send(topic, item.key, item.value, item.partition, None, None)
        except ProducerSendError as error:
            failed: asyncio.Future[object] = asyncio.get_running_loop().create_future()
            failed.set_exception(error.__cause__ or error)
            return failed

    async def _refused(self, item: Output, error: KafkaError) -> None:
        if item.topic != DEAD_LETTERS.name or not isinstance(error, _TOO_LARGE):
            raise RefusedError(_words(self._prefix + item.topic, item, error)) from error
        letter = decode(item.value, DeadLetter)
        short = msgspec.structs.replace(letter, key=None, value=None, reason=letter.reason[:_SHORT_REASON])
        # One at a time: a batch is refused as a whole, for the sake of one record in it.
        for each in (item, output(item.topic, item.key.decode(), short)):
            try:
                await (await self._send(each))
            except _TOO_LARGE:
                continue
            return
        self._unwritten += 1
        log.error(
            "topic %s refuses a dead letter of %d bytes; raise its max.message.bytes. "
            "Not written (%d so far): %s, partition %d, offset %d: %s",
            self._prefix + item.topic, len(item.value), self._unwritten,
            letter.topic, letter.partition, letter.offset, short.reason,
        )  # fmt: skip


def _words(topic: str, item: Output, error: KafkaError) -> str:
    if isinstance(error, _TOO_LARGE):
        what = f"topic {topic} refuses a record of {len(item.value)} bytes"
        return f"{what}; set its max.message.bytes to {MAX_RECORD_BYTES}"
    if isinstance(error, TopicAuthorizationFailedError):
        return f"topic {topic} refuses what is written to it; allow this worker's Kafka user to write there"
    if isinstance(error, KafkaTimeoutError):
        return f"topic {topic}: the brokers have not confirmed what was written; see whether they are well"
    return f"topic {topic} refuses what is written to it: {error}"
