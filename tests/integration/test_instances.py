"""Workers with a name: what the group makes of one that was killed and is back."""

from typing import Any

import pytest

from tests.integration.conftest import NewWorker

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

SESSION_S = 60.0


async def test_a_named_worker_that_was_killed_does_not_wait_for_its_own_session(
    setting: Any, worker: NewWorker
) -> None:
    named = {"environ": {"TIDEGATE_INSTANCE": "a"}}
    long = setting(session_timeout_s=SESSION_S)
    first = worker(long, **named)
    await first.says("ready and reads .*metrics")
    first.kill()
    await worker(long, **named).says("ready and reads .*metrics", patience_s=SESSION_S / 2)
