"""The limit that throughput is measured against: aiokafka's getmany and msgspec's decoding, nothing else.

`python -m bench.limit HOST:PORT [RECORDS] [SERIES]` writes one-sample JSON records to a real broker and
prints how fast they are read and decoded, with lz4 and without compression.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.partitioner import DefaultPartitioner

from schemas import series_key

PARTITIONS = 4
METRIC = "http_requests_per_second"
START_MS = 1_700_000_000_000
STEP_MS = 10_000


class NativeSample(msgspec.Struct, gc=False):
    """A native JSON sample, decoded as cheaply as msgspec can."""

    metric: str
    labels: dict[str, str]
    ts: int
    value: float


@dataclass(frozen=True, slots=True)
class Rate:
    """`records` in `seconds`."""

    records: int
    seconds: float

    @property
    def per_s(self) -> float:
        """Records per second."""
        return self.records / self.seconds


def samples(count: int, series: int, random: Random) -> Iterator[tuple[int, bytes, bytes, int]]:
    """Yield `count` samples of `series` random walks as (partition, key, value, ts in Unix ms), ts ascending.

    The partition is the one that Kafka's default partitioner gives the key.
    """
    partitioner = DefaultPartitioner()
    partitions = list(range(PARTITIONS))
    heads, keys, homes = [], [], []
    for number in range(series):
        labels = {"service": f"s{number}"}
        key = series_key(METRIC, labels).encode()
        keys.append(key)
        homes.append(partitioner(key, partitions, partitions))
        heads.append(f'{{"metric":"{METRIC}","labels":{{"service":"s{number}"}},"ts":')
    values = [100.0] * series
    for number in range(count):
        row = number % series
        ts = START_MS + number // series * STEP_MS
        values[row] += random.gauss(0.0, 1.0)
        yield homes[row], keys[row], f'{heads[row]}{ts},"value":{values[row]:.3f}}}'.encode(), ts


async def create_topic(address: str, topic: str, *, partitions: int = PARTITIONS, **config: str) -> None:
    """Create `topic` with one replica; `config` names its settings with underscores for dots.

    Nothing expires: the samples' times lie in the past, which retention would take for old age.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        settings = {"retention.ms": "-1"} | {name.replace("_", "."): value for name, value in config.items()}
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=settings)])
    finally:
        await admin.close()


async def produce(
    address: str, topic: str, count: int, series: int, *, compression: str | None = "lz4", seed: int = 1
) -> Rate:
    """Write `count` one-sample records of `series` series to the existing `topic`, in whole batches."""
    began = time.perf_counter()
    async with AIOKafkaProducer(
        bootstrap_servers=address, compression_type=compression, max_batch_size=1 << 18, acks=1
    ) as producer:
        open_batches = [producer.create_batch() for _ in range(PARTITIONS)]
        for partition, key, value, ts in samples(count, series, Random(seed)):
            if open_batches[partition].append(key=key, value=value, timestamp=ts) is None:
                await producer.send_batch(open_batches[partition], topic, partition=partition)
                open_batches[partition] = producer.create_batch()
                open_batches[partition].append(key=key, value=value, timestamp=ts)
        for partition, batch in enumerate(open_batches):
            if batch.record_count():
                await producer.send_batch(batch, topic, partition=partition)
        await producer.flush()
    return Rate(count, time.perf_counter() - began)


async def limit(address: str, topic: str, count: int) -> Rate:
    """Read `count` records of `topic` from its beginning with getmany, and decode each."""
    decode = msgspec.json.Decoder(NativeSample).decode
    consumer = AIOKafkaConsumer(
        bootstrap_servers=address, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
        seen = 0
        began = time.perf_counter()
        while seen < count:
            polled = await consumer.getmany(timeout_ms=1000)
            for records in polled.values():
                for record in records:
                    decode(record.value)
                seen += len(records)
        return Rate(seen, time.perf_counter() - began)
    finally:
        await consumer.stop()


async def _measure(address: str, count: int, series: int) -> dict[str, dict[str, float]]:
    figures = {}
    for compression in ("lz4", None):
        topic = f"limit-{compression}-{os.urandom(4).hex()}"
        await create_topic(address, topic)
        produced = await produce(address, topic, count, series, compression=compression)
        rates = [await limit(address, topic, count) for _ in range(3)]
        figures[compression or "none"] = {
            "produced_per_s": round(produced.per_s),
            "limit_records_per_s": round(max(rate.per_s for rate in rates)),
        }
    return figures


def main() -> None:
    """Measure and print the figures as JSON."""
    address, count, series = [*sys.argv[1:], *("", "1000000", "1000")[len(sys.argv) - 1 :]]
    figures = asyncio.run(_measure(address, int(count), int(series)))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
