"""The newest rule of every flag, kept up to date from the topic by a thread of its own."""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from schemas import Flag, SchemaError, decode
from streams.flags.rules import FlagError, check
from streams.topics import partitions_of

log = logging.getLogger(__name__)

RETRY_S = 1.0


class FlagBook:
    """Reads the topic from its beginning, and goes on reading.

    `connection` are aiokafka's keyword arguments. `changed` is called, in the reading thread, with the keys
    that have a newer rule. A rule that cannot be followed is told in the log; the one before it holds.
    """

    def __init__(
        self,
        topic: str,
        connection: Mapping[str, Any],
        changed: Callable[[list[str]], None] = lambda keys: None,
    ) -> None:
        self._topic = topic
        self._connection = connection
        self._changed = changed
        self._flags: dict[str, Flag] = {}
        self._ready = threading.Event()
        self._stopped = False
        self._lock = threading.Lock()  # starting and stopping come from different threads
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def get(self, key: str) -> Flag | None:
        """The rule of the flag, None where there is none."""
        return self._flags.get(key)

    def start(self, patience_s: float) -> bool:
        """Begin to read; whether all that was there is read within `patience_s`."""
        with self._lock:
            if self._thread is None and not self._stopped:
                self._thread = threading.Thread(target=self._run, name="tidegate-flags", daemon=True)
                self._thread.start()
        return self._ready.wait(patience_s)

    def stop(self) -> None:
        """Stop reading for good; what is known stays."""
        with self._lock:
            self._stopped = True
            if self._loop is not None and self._task is not None:
                self._loop.call_soon_threadsafe(self._task.cancel)
        if self._thread is not None:
            self._thread.join()

    def take(self, key: bytes | None, value: bytes | None) -> str | None:
        """Take one record; returns the key of the flag that it changed."""
        name = (key or b"").decode(errors="replace")
        if value is None:
            return name if self._flags.pop(name, None) is not None else None
        try:
            flag = decode(value, Flag)
            check(flag)
        except (SchemaError, FlagError) as error:
            log.error("topic %s, key %s: the rule cannot be followed: %s", self._topic, name, error)
            return None
        known = self._flags.get(flag.key)
        if known is not None and known.version >= flag.version:
            return None
        self._flags[flag.key] = flag
        return flag.key

    def _run(self) -> None:
        asyncio.run(self._follow())
        with self._lock:
            self._loop = self._task = None

    async def _follow(self) -> None:
        with self._lock:
            if self._stopped:
                return
            self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        while True:
            try:
                await self._read()
            except asyncio.CancelledError:
                return
            except (KafkaError, OSError, RuntimeError) as error:
                # What is known holds on: an application must not stop for its flags.
                log.warning("topic %s cannot be read (%s); trying again", self._topic, error)
                await asyncio.sleep(RETRY_S)

    async def _read(self) -> None:
        partitions = await partitions_of(self._topic, self._connection)
        async with AIOKafkaConsumer(
            **self._connection, enable_auto_commit=False, fetch_max_wait_ms=100
        ) as consumer:
            consumer.assign(partitions)
            await consumer.seek_to_beginning(*partitions)
            ends = await consumer.end_offsets(partitions)
            while True:
                if not self._ready.is_set():
                    left = [tp for tp, end in ends.items() if await consumer.position(tp) < end]
                    if not left:
                        self._ready.set()
                batches = await consumer.getmany(timeout_ms=200)
                records = [record for batch in batches.values() for record in batch]
                changed = [self.take(record.key, record.value) for record in records]
                if keys := sorted({key for key in changed if key is not None}):
                    self._changed(keys)
