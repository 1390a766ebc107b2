"""The benchmarks' load: batches whose digits are replaced must be as a producer would have sent them."""

import msgspec
import numpy as np
import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.record import MemoryRecords

from bench.limit import PARTITIONS, START_MS, STEP_MS
from bench.load import Filled, Load
from schemas import Sample


def _samples(batch: Filled) -> list[tuple[int, bytes, Sample]]:
    """Timestamp, key and samples of a batch, read by aiokafka, which checks what the checksum covers."""
    records = MemoryRecords(batch.data)
    read = records.next_batch()
    assert read.validate_crc()
    assert records.next_batch() is None
    decode = msgspec.json.Decoder(Sample | list[Sample]).decode
    found = []
    for record in read:
        value = decode(record.value)
        found += [
            (record.timestamp, record.key, each) for each in (value if isinstance(value, list) else [value])
        ]
    return found


@pytest.mark.parametrize("per_record", [1, 7])
def test_a_step_has_one_sample_of_each_series_in_its_partition(per_record: int) -> None:
    load = Load(50, per_record=per_record, clock=lambda: 1_800_000_000_123, samples_per_batch=8)
    next(iter(load.step()))  # an earlier step leaves nothing behind
    batches = list(load.step())
    found = [(batch.partition, *sample) for batch in batches for sample in _samples(batch)]
    assert sorted(sample.labels["service"] for *_, sample in found) == sorted(f"s{n}" for n in range(50))
    assert {sample.ts for *_, sample in found} == {START_MS + STEP_MS}
    assert {timestamp for _, timestamp, _, _ in found} == {1_800_000_000_123}
    assert sum(batch.records for batch in batches) == load.records
    assert sum(batch.samples for batch in batches) == 50
    partitions = list(range(PARTITIONS))
    home = DefaultPartitioner()
    assert all(home(key, partitions, partitions) == partition for partition, _, key, _ in found)


def test_values_are_random_walks_and_spikes_are_far_off_for_once() -> None:
    load = Load(40)
    walks = np.array([[sample.value for b in load.step() for _, _, sample in _samples(b)] for _ in range(60)])
    assert np.abs(np.diff(walks, axis=0)).max() < 6
    load.spikes = 0.5
    spiky = np.array([sample.value for b in load.step() for _, _, sample in _samples(b)])
    off = np.abs(spiky - walks[-1]) > 100
    assert 5 < off.sum() < 35
    load.spikes = 0.0
    after = np.array([sample.value for b in load.step() for _, _, sample in _samples(b)])
    assert np.abs(after - walks[-1]).max() < 10
