"""A worker that stalls beyond its session and wakes up again: others have its partitions meanwhile."""

from pathlib import Path

import pytest

from tests.integration.facts import Facts
from tests.integration.harness import caught_up
from tests.integration.run import NAMES, assert_same, in_action, open_run
from tests.integration.stream import Entry

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


async def test_what_a_deposed_owner_writes_late_changes_nothing(
    kafka: str, redis_url: str, stream: list[list[Entry]], undisturbed: Facts, tmp_path: Path
) -> None:
    """It wakes with state that it has not written yet, older than what its successor has written.

    And when the partitions come back to it, what it has in memory of them is not to be trusted.
    """
    async with open_run(kafka, redis_url, tmp_path / "run", stream, checkpoint_s=2.0) as run:
        stalled = run.start()
        await run.topics_made()
        await run.feed(0, 3)
        await in_action(run, stalled.freeze, 5, answered=True, delay_s=0.1)
        successor = run.start()
        await run.feed(1, 3)
        await caught_up(run.setting, *NAMES, alive=[successor])
        stalled.thaw()
        await stalled.says("the worker is ready", times=2)
        assert await successor.stop() == 0
        await run.feed(2, 3)
        assert_same(await run.finish(), undisturbed)
