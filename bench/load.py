"""Native JSON samples as whole record batches, millions a second: only digits differ from step to step.

A producer that encodes single records gets 0.3 million a second, less than a worker takes.
"""

import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.codec import lz4_encode
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c
from numpy.typing import NDArray

from bench.limit import METRIC, PARTITIONS, START_MS, STEP_MS, Rate
from schemas import series_key

SAMPLES_PER_BATCH = 2000
_SAMPLE = re.compile(rb'"ts":(\d{13}),"value":(\d{3}\.\d{3})')
_LEAST, _MIDDLE, _MOST = 100.0, 500.0, 999.0
_HEAD = 61  # bytes before the records of a batch; see Kafka's message format 2
_LENGTH, _CRC, _ATTRIBUTES, _FIRST_TIME, _LARGEST_TIME = 8, 17, 21, 27, 35
_LZ4 = 3
_ZERO = ord("0")


class Filled(NamedTuple):
    """One batch ready to send."""

    partition: int
    data: bytes
    records: int
    samples: int


class _Template:
    """A record batch of some series whose times and values are replaced in place."""

    def __init__(self, partition: int, bodies: list[tuple[bytes, bytes]], samples: int) -> None:
        self.partition, self.samples, self.records = partition, samples, len(bodies)
        builder = BatchBuilder(1 << 30, 0)
        for key, value in bodies:
            builder.append(timestamp=START_MS, key=key, value=value)
        built = bytes(builder._build())
        self._head = bytearray(built[:_HEAD])
        self._body: NDArray[np.uint8] = np.frombuffer(built[_HEAD:], np.uint8).copy()
        found = list(_SAMPLE.finditer(built, _HEAD))
        self._times = np.array([each.start(1) - _HEAD for each in found])[:, None] + np.arange(13)
        self._values = np.array([each.start(2) - _HEAD for each in found])[:, None] + [0, 1, 2, 4, 5, 6]

    def fill(self, ts: int, values: NDArray[np.float64], now_ms: int) -> Filled:
        """The batch with samples at `ts` and record times of `now_ms` (Unix ms)."""
        self._body[self._times] = np.frombuffer(str(ts).encode(), np.uint8)
        thousandths = (values * 1000).astype(np.int64)[:, None]
        self._body[self._values] = thousandths // 10 ** np.arange(5, -1, -1) % 10 + _ZERO
        head, body = self._head, lz4_encode(self._body.tobytes(), level=1)
        head[_LENGTH : _LENGTH + 4] = (_HEAD - _LENGTH - 4 + len(body)).to_bytes(4, "big")
        head[_ATTRIBUTES : _ATTRIBUTES + 2] = _LZ4.to_bytes(2, "big")
        for at in (_FIRST_TIME, _LARGEST_TIME):
            head[at : at + 8] = now_ms.to_bytes(8, "big")
        head[_CRC : _CRC + 4] = calc_crc32c(bytes(head[_ATTRIBUTES:]) + body).to_bytes(4, "big")
        return Filled(self.partition, bytes(head) + body, self.records, self.samples)


class Load:
    """Random walks of `series` series, `per_record` samples in a record; a step has one sample of each.

    Series go to the partition that Kafka's default partitioner gives their key. `clock` returns the time that
    records get (Unix ms); of a batch's samples the share `spikes` is far off for once. `first_step` is how
    many steps others have sent already.
    """

    def __init__(
        self,
        series: int,
        *,
        per_record: int = 1,
        seed: int = 1,
        spikes: float = 0.0,
        clock: Callable[[], int] = lambda: START_MS,
        samples_per_batch: int = SAMPLES_PER_BATCH,
        first_step: int = 0,
    ) -> None:
        self.series = series
        self.spikes = spikes
        self._clock = clock
        self._random = np.random.default_rng(seed)
        self._step = first_step
        partitioner, partitions = DefaultPartitioner(), list(range(PARTITIONS))
        homes: dict[int, list[int]] = {partition: [] for partition in partitions}
        for number in range(series):
            homes[partitioner(_key(number), partitions, partitions)].append(number)
        self._templates = [
            _template(partition, numbers[at : at + samples_per_batch], per_record)
            for partition, numbers in homes.items()
            for at in range(0, len(numbers), samples_per_batch)
        ]
        self._walks = [np.full(template.samples, _MIDDLE) for template in self._templates]

    @property
    def records(self) -> int:
        """Records of one step."""
        return sum(template.records for template in self._templates)

    def step(self) -> Iterator[Filled]:
        """The batches of the next step, each made when it is asked for."""
        ts = START_MS + self._step * STEP_MS
        self._step += 1
        for number, template in enumerate(self._templates):
            walk = self._walks[number] + self._random.standard_normal(template.samples)
            self._walks[number] = values = np.clip(walk, _LEAST, _MOST)
            if self.spikes:
                off = self._random.random(template.samples) < self.spikes
                values = np.where(off, np.where(values > _MIDDLE, _LEAST, _MOST), values)
            yield template.fill(ts, values, self._clock())


def _key(number: int) -> bytes:
    return series_key(METRIC, {"service": f"s{number}"}).encode()


def _template(partition: int, numbers: list[int], per_record: int) -> _Template:
    bodies = [
        f'{{"metric":"{METRIC}","labels":{{"service":"s{number}"}},"ts":{START_MS},"value":500.000}}'
        for number in numbers
    ]
    groups = [(numbers[at], bodies[at : at + per_record]) for at in range(0, len(numbers), per_record)]
    records = [
        (_key(first), (group[0] if per_record == 1 else f"[{','.join(group)}]").encode())
        for first, group in groups
    ]
    return _Template(partition, records, len(numbers))


async def send(producer: AIOKafkaProducer, topic: str, batch: Filled) -> None:
    """Hand a batch to a started producer; it waits while too many are under way."""
    builder = BatchBuilder(0, 0)
    builder._buffer, builder._relative_offset, builder._closed = batch.data, batch.records, True
    await producer.send_batch(builder, topic, partition=batch.partition)


async def fill(address: str, topic: str, load: Load, steps: int) -> Rate:
    """Write `steps` steps of `load`; returns samples and seconds."""
    began, samples = time.perf_counter(), 0
    async with AIOKafkaProducer(bootstrap_servers=address, acks=1) as producer:
        for _ in range(steps):
            for batch in load.step():
                await send(producer, topic, batch)
                samples += batch.samples
        await producer.flush()
    return Rate(samples, time.perf_counter() - began)
