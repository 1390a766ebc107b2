"""From a push to Kafka: limits, conversion, writing; answered only when the brokers have it all."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.partitioner import murmur2

from streams.config import Config
from streams.config.receive import TenantConfig
from streams.receive.draft import Draft
from streams.receive.errors import Busy, ReceiveError, TooMuch
from streams.receive.tenant import Tenant
from streams.topics import MAX_RECORD_BYTES, METRICS

log = logging.getLogger(__name__)

MB = 1_000_000


def partition_of(key: str, partitions: int) -> int:
    """The partition that Kafka's default partitioner gives a key: also that of other producers' samples."""
    return int((murmur2(key.encode()) & 0x7FFFFFFF) % partitions)


class Intake:
    """Writes what is pushed to the topic `metrics`.

    `connection` are aiokafka's keyword arguments, `monotonic` gives seconds.
    """

    def __init__(
        self,
        config: Config,
        connection: Mapping[str, Any],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._connection = dict(connection)
        self._monotonic = monotonic
        self._topic = config.kafka.prefix + METRICS.name
        self._producer: AIOKafkaProducer | None = None
        self._partitions = 0
        self._in_flight = 0
        self._room = int(config.receive.max_in_flight_mb * MB)
        self.tenants: dict[str | None, Tenant] = {}
        self.records = 0
        self.bytes = 0

    @property
    def in_flight(self) -> int:
        """Bytes (decompressed) that are being worked on."""
        return self._in_flight

    async def start(self) -> None:
        """Connect to the brokers.

        Raises:
            KafkaError: they cannot be reached.
            ReceiveError: there is no topic to write to.
        """
        self._producer = AIOKafkaProducer(
            **self._connection,
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=2,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=int(self._config.receive.kafka_timeout_s * 1000),
        )
        await self._producer.start()
        try:
            self._partitions = len(await self._producer.partitions_for(self._topic))
        except KafkaError as error:
            raise ReceiveError(
                f"the topic {self._topic} cannot be written to ({error!r}); a worker makes it when it starts"
            ) from error
        for each in self._config.receive.tenants or (None,):
            self.tenants[each.name if each else None] = self.tenant(each)

    def tenant(self, config: TenantConfig | None, name: str = "anyone") -> Tenant:
        """A tenant without any series yet; `name` is that of one without configuration."""
        return Tenant(
            self._config.receive,
            config,
            name=config.name if config else name,
            partition_of=lambda key: partition_of(key, self._partitions),
            monotonic=self._monotonic,
        )

    async def stop(self) -> None:
        """Finish what is on its way."""
        if self._producer is not None:
            await self._producer.stop()

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Take `size` bytes of room for as long as the block runs.

        Raises:
            Busy: there is none.
        """
        if self._in_flight and self._in_flight + size > self._room:
            raise Busy(f"{self._in_flight} bytes wait for Kafka, the limit is {self._room}; send it again")
        self._in_flight += size
        try:
            yield
        finally:
            self._in_flight -= size

    def draft(self) -> Draft:
        """An empty draft."""
        return Draft(self._partitions)

    def admit(self, tenant: Tenant, samples: int) -> None:
        """Count `samples` against the tenant's rate.

        Raises:
            TooMuch: it is used up.
        """
        if tenant.usage is not None and (wait := tenant.usage.wait_s(self._monotonic(), samples)) > 0:
            raise TooMuch(f"tenant {tenant.name} may send {tenant.usage.per_s:g} samples a second", wait)

    async def write(self, tenant: Tenant, draft: Draft) -> None:
        """Write the draft; return when all of it is in Kafka.

        Raises:
            Busy: it is not, and whoever pushed it should do so again.
        """
        assert self._producer is not None  # noqa: S101 - started before anything is served
        waiting = []
        try:
            async with asyncio.timeout(self._config.receive.kafka_timeout_s):
                for partition, value in draft.records():
                    waiting.append(await self._producer.send(self._topic, value, partition=partition))
                    self.records += 1
                    self.bytes += len(value)
                for future in waiting:
                    await future
        except (KafkaError, TimeoutError) as error:
            for future in waiting:
                future.add_done_callback(lambda done: done.cancelled() or done.exception())
            words = str(error) or type(error).__name__
            log.warning(
                "samples of tenant %s are not in Kafka, they are to be sent again: %s", tenant.name, words
            )
            raise Busy(
                f"Kafka does not take the samples now ({type(error).__name__}); send them again"
            ) from error
        draft.commit()
        tenant.counts.samples += draft.samples
        tenant.counts.refused += draft.refused
        for reason, count in draft.dropped.items():
            tenant.counts.dropped[reason] = tenant.counts.dropped.get(reason, 0) + count
