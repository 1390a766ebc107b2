"""Nothing lost and nothing twice: runs with workers that are killed end as an undisturbed run does."""

import random
from pathlib import Path

import pytest

from tests.integration.facts import Facts
from tests.integration.run import assert_same, in_action, open_run
from tests.integration.stream import Entry

pytestmark = [pytest.mark.kafka, pytest.mark.redis]


@pytest.mark.parametrize("seed", [1])
async def test_a_worker_killed_again_and_again(
    seed: int, kafka: str, redis_url: str, stream: list[list[Entry]], undisturbed: Facts, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    async with open_run(kafka, redis_url, tmp_path / "run", stream) as run:
        kills = 3
        worker = run.start()
        await run.topics_made()
        for kill in range(kills):
            await run.feed(kill, kills + 1)
            more = rng.randint(1, 8)
            await in_action(
                run,
                worker.kill,
                len(run.receiver.effects) + more,
                answered=rng.random() < 0.6,
                delay_s=rng.random() * 0.3,
            )
            worker.start()
        await run.feed(kills, kills + 1)
        assert_same(await run.finish(), undisturbed)


async def test_one_of_two_workers_is_killed_and_another_joins(
    kafka: str, redis_url: str, stream: list[list[Entry]], undisturbed: Facts, tmp_path: Path
) -> None:
    rng = random.Random(2)
    async with open_run(kafka, redis_url, tmp_path / "run", stream) as run:
        first = run.start()
        await run.topics_made()
        second = run.start()
        await run.feed(0, 3)
        await run.effects(5)
        first.kill()
        await run.feed(1, 3)
        await run.effects(len(run.receiver.effects) + rng.randint(1, 5))
        third = await run.start().ready()
        await run.feed(2, 3)
        assert_same(await run.finish(), undisturbed)
        for joined in (second, third):
            assert "-metrics [" in joined.text, "each of them has read a partition"
