"""The broker goes away under a worker and comes back: the worker waits, and nothing is lost."""

import asyncio

import msgspec
import pytest
from aiokafka.admin import NewTopic

from tests.kafka.broker import Cluster
from tests.kafka.chaos import create_topics, processes
from tests.kafka.test_transport import write

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

OUTAGE_S = 6.0  # longer than the worker's session of 3 s, so that the broker forgets it
BEFORE, AFTER = 200, 50


@pytest.mark.parametrize("outage", ["killed", "stalled"])
@pytest.mark.parametrize("late_s", [None, 0.2], ids=["acked-by-the-stream", "acked-late"])
async def test_a_worker_outlives_the_broker(own_kafka: Cluster, outage: str, late_s: float | None) -> None:
    address, node = own_kafka.address, own_kafka.nodes[0]
    await create_topics(address, NewTopic("metrics", 1, 1))
    await write(address, "metrics", BEFORE)
    job = {
        "broker": address,
        "group": "workers",
        "topic": "metrics",
        "records_per_poll": 10,
        "linger_s": 0.1,
        "late_s": late_s,
        "values": False,
    }
    async with processes() as start:
        worker = await start("-m", "tests.kafka.batch_worker", msgspec.json.encode(job).decode())
        await worker.says(3, kind="commit")
        if outage == "killed":
            node.kill()
            await asyncio.sleep(OUTAGE_S)
            node.start()
        else:
            node.freeze()
            await asyncio.sleep(OUTAGE_S)
            node.thaw()
        await own_kafka.ready()
        await write(address, "metrics", AFTER, first=BEFORE)
        await worker.says(kind="commit", end=BEFORE + AFTER)
        done: set[int] = set()
        for line in worker.lines:
            if line["kind"] == "done":
                done.update(line["offsets"])
            if line["kind"] == "commit":
                assert done >= set(range(line["end"]))
        assert done == set(range(BEFORE + AFTER))
        assert await worker.stop() == 0
