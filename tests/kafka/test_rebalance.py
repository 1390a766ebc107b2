"""Consumers join, leave and die in the middle of work: every record is processed, none committed before."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import pytest
from aiokafka.admin import NewTopic

from tests.kafka.chaos import Load, Process, committed, create_topics, differences, processes

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PARTITIONS = 6  # Faust gives each worker at most its share rounded up, so that of 4 a third may get none
BATCH = 10

Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(kafka: str, prefix: str) -> AsyncIterator[Start]:
    """Start a worker that takes up to 30 ms for a batch of ten records; keywords go to its job."""
    await create_topics(kafka, NewTopic(f"{prefix}metrics", PARTITIONS, 1))
    async with processes() as run:

        async def worker(**job: Any) -> Process:
            job = {
                "broker": kafka,
                "group": f"{prefix}group",
                "topic": f"{prefix}metrics",
                "records_per_poll": BATCH,
                "linger_s": 0.03,
                "commit_takes_s": 0.1,  # so that a rebalance finds a commit under way
                "values": False,
            } | job
            return await run("-m", "tests.kafka.batch_worker", msgspec.json.encode(job).decode())

        yield worker


def _processed(workers: list[Process]) -> list[tuple[int, int]]:
    return [
        (line["partition"], offset)
        for worker in workers
        for line in worker.said(kind="done")
        for offset in line["offsets"]
    ]


def _commits_ahead(workers: list[Process]) -> list[str]:
    """Commits of a record that no worker had processed by then, one text for each."""
    lines = sorted(
        (line for worker in workers for line in worker.lines if "t" in line), key=lambda line: line["t"]
    )
    done: set[tuple[int, int]] = set()
    ahead = []
    for line in lines:
        if line["kind"] == "done":
            done.update((line["partition"], offset) for offset in line["offsets"])
        elif line["kind"] == "commit":
            missing = [o for o in range(line["end"]) if (line["partition"], o) not in done]
            if missing:
                ahead.append(
                    f"partition {line['partition']}: {line['end']} committed, {missing} not processed"
                )
    return ahead


async def _all_committed(address: str, prefix: str, count: int, witness: Process) -> None:
    async def ask() -> dict[int, int]:
        return await committed(address, f"{prefix}group", f"{prefix}metrics")

    await witness.until(ask, lambda offsets: sum(offsets.values()) == count, f"{count} committed")


@pytest.mark.parametrize("late_s", [None, 0.2], ids=["acked-by-the-stream", "acked-late"])
async def test_workers_join_and_leave(start: Start, kafka: str, prefix: str, late_s: float | None) -> None:
    """In order, a record is processed once: what is in work is finished and committed before it moves."""
    load = Load(kafka, f"{prefix}metrics", PARTITIONS)
    first = await start(late_s=late_s)
    await first.says(10, kind="done")
    second = await start(late_s=late_s)
    await second.says(10, kind="done")
    third = await start(late_s=late_s)
    await third.says(10, kind="done")
    assert await first.stop() == 0
    await third.says(40, kind="done")
    assert await third.stop() == 0
    written = await load.end()
    await _all_committed(kafka, prefix, len(written), second)
    workers = [first, second, third]
    assert _commits_ahead(workers) == []
    assert differences(written, _processed(workers)) == []


@pytest.mark.parametrize("late_s", [None, 0.2], ids=["acked-by-the-stream", "acked-late"])
async def test_workers_join_and_die(start: Start, kafka: str, prefix: str, late_s: float | None) -> None:
    """After a kill the unacknowledged records come again, and none is missing."""
    load = Load(kafka, f"{prefix}metrics", PARTITIONS)
    first = await start(late_s=late_s)
    second = await start(late_s=late_s)
    await second.says(15, kind="done")
    await second.kill()
    await first.says(40, kind="done")
    third = await start(late_s=late_s)
    await third.says(10, kind="done")
    await first.kill()
    written = await load.end()
    await _all_committed(kafka, prefix, len(written), third)
    workers = [first, second, third]
    assert _commits_ahead(workers) == []
    assert differences(written, set(_processed(workers))) == []
