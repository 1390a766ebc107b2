"""State out of a real Kafka into a file and back: export, import, revert."""

import asyncio
import random
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from streams.app import detector
from streams.config import Config, KafkaConfig, LedgerConfig, StateConfig, TelemetryConfig
from streams.detection import DetectPartition
from streams.exports import Export, ExportError, put, revert, take
from streams.worker import Worker, wall_clock
from tests.streams.records import MINUTE, START

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SERIES = 20


def _config(kafka: str, redis_url: str, prefix: str) -> Config:
    return Config(
        kafka=KafkaConfig(brokers=(kafka,), group=f"{prefix}workers", prefix=prefix, partitions=2),
        ledger=LedgerConfig(url=redis_url, namespace=prefix),
        state=StateConfig(checkpoint_s=0.3, block_rows=4),
        telemetry=TelemetryConfig(port=0),
    )


async def _produce(config: Config, first: int, last: int, level: float) -> int:
    """Samples of all series from step `first` to `last`, around `level`."""
    rng = random.Random(first)
    async with AIOKafkaProducer(bootstrap_servers=config.kafka.brokers[0]) as producer:
        for step in range(first, last):
            for number in range(SERIES):
                body = {
                    "metric": "m",
                    "labels": {"pod": str(number)},
                    "ts": START + step * MINUTE,
                    "value": level + rng.gauss(0, 1),
                }
                await producer.send(
                    f"{config.kafka.prefix}metrics", msgspec.json.encode(body), key=str(number).encode()
                )
        await producer.flush()
    return (last - first) * SERIES


async def _work(config: Config, samples: int) -> None:
    """Run a worker until it has learnt so many samples, and stop it."""
    worker = Worker(config, environ={})
    await worker.start(patience_s=30)
    assert worker.pipeline.detect is not None
    try:
        async with asyncio.timeout(40):
            while sum(p.counts.samples for p in _partitions(worker)) < samples:
                await asyncio.sleep(0.05)
    finally:
        await worker.stop()


def _partitions(worker: Worker) -> list[DetectPartition]:
    assert worker.pipeline.detect is not None
    return [p for p in worker.pipeline.detect.partitions.values() if isinstance(p, DetectPartition)]


async def test_state_goes_out_and_comes_back(kafka: str, redis_url: str, prefix: str, tmp_path: Path) -> None:
    config = _config(kafka, redis_url, prefix)
    connection = {"bootstrap_servers": kafka}
    worker = Worker(config, environ={})
    await worker.start(patience_s=30)
    with pytest.raises(ExportError, match="has no state"):
        await take(config, connection, wall_clock())
    await worker.stop()

    await _work(config, await _produce(config, 0, 100, 50.0))
    healthy = await take(config, connection, wall_clock())
    healthy.write(tmp_path / "healthy.state")
    assert Export.read(tmp_path / "healthy.state") == healthy

    await _work(config, await _produce(config, 100, 200, 900.0))  # the baseline is spoilt
    spoilt = await take(config, connection, wall_clock())
    make = detector(config, None)
    assert await revert(healthy, config, connection, series='m{pod="1*"}', make=make) == 11
    mixed = await take(config, connection, wall_clock())
    for name, model in _models(mixed, config).items():
        source = healthy if name.startswith('m{pod="1') else spoilt
        assert model == _models(source, config)[name], name
    assert mixed.offsets == spoilt.offsets

    await put(healthy, config, connection)
    back = await take(config, connection, wall_clock())
    assert back.stages == healthy.stages
    # Nothing was read yet of `changes` at the time: it stays where it is, what is learnt again adds to it.
    assert {topic: back.offsets[topic] for topic in healthy.offsets} == healthy.offsets
    await _work(config, 100 * SERIES)  # what came since is learnt again, as it was
    assert _models(await take(config, connection, wall_clock()), config) == _models(spoilt, config)


def _models(export: Export, config: Config) -> dict[str, bytes]:
    """The model of each series."""
    found = {}
    for number, blocks in export.stages["detect"].items():
        partition = detector(config, None)(number)
        partition.restore(blocks, blocks.get)
        found |= {name: partition.rows.model(name) for name in partition.rows.series()}
    return found


async def test_nothing_is_put_back_under_a_running_worker(kafka: str, redis_url: str, prefix: str) -> None:
    config = _config(kafka, redis_url, prefix)
    worker = Worker(config, environ={})
    await worker.start(patience_s=30)
    try:
        samples = await _produce(config, 0, 5, 1.0)
        async with asyncio.timeout(40):
            while sum(p.counts.samples for p in _partitions(worker)) < samples:
                await asyncio.sleep(0.05)
        await worker.pipeline.checkpoint()
        export = await take(config, {"bootstrap_servers": kafka}, wall_clock())
        with pytest.raises(ExportError, match="1 running workers"):
            await put(export, config, {"bootstrap_servers": kafka})
    finally:
        await worker.stop()


def test_what_is_not_an_export_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.state"
    path.write_bytes(b"nothing")
    with pytest.raises(ExportError, match=r"x\.state: not a state export"):
        Export.read(path)
