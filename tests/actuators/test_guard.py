"""The blast radius holds over workers, on a real Redis."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actuators import LedgerUnavailable, RedisLedger, Refused, make_actuator
from actuators.guard import Fleet, GuardConfig, Guarded
from schemas import Rollback
from tests.actuators.commands import act, scale
from tests.actuators.server import RedisServer

pytestmark = pytest.mark.redis

NOW = 1_700_000_000_000
COUNTS = {"a": 10, "b": 10, "c": 20}


class Hands:
    """Two workers' guarded hands on one platform, and a clock."""

    def __init__(self, ledger: RedisLedger, **limits: Any) -> None:
        self.now = NOW
        self._platform = make_actuator("noop", {"replicas": COUNTS}, env={})
        config = GuardConfig(window_s=60.0, **limits)
        actuators = dict.fromkeys(COUNTS, self._platform)
        self._workers = [
            Guarded(
                self._platform, limits=config, budget=ledger, fleet=Fleet(actuators), clock=lambda: self.now
            )
            for _ in range(2)
        ]
        self._turn = 0

    async def scale(self, target: str, replicas: int) -> None:
        """One of the workers, by turns, is asked to."""
        self._turn += 1
        await self._workers[self._turn % 2].apply(scale(self._turn, replicas, target=target))

    async def roll_back(self, target: str) -> None:
        self._turn += 1
        await self._workers[self._turn % 2].apply(act(Rollback(release="v2", to=None), target=target))


async def test_at_most_so_many_targets_within_the_window(ledger: RedisLedger) -> None:
    hands = Hands(ledger, max_targets=2)
    await hands.scale("a", 11)
    await hands.scale("b", 11)
    await hands.scale("a", 12)  # it is counted already
    with pytest.raises(Refused, match=r"guard: 2 other targets were changed within 60\.?0? s, at most 2"):
        await hands.scale("c", 21)
    hands.now += 60_000
    await hands.scale("c", 21)


async def test_at_most_such_a_share_of_all_replicas(ledger: RedisLedger) -> None:
    hands = Hands(ledger, max_share=0.25)  # of 40
    await hands.scale("a", 16)
    with pytest.raises(Refused, match="guard: 11 of 40 replicas"):
        await hands.scale("c", 25)
    await hands.scale("c", 24)


async def test_down_is_slower_than_up(ledger: RedisLedger) -> None:
    hands = Hands(ledger, max_up_factor=3.0, max_down_share=0.2)
    await hands.scale("a", 30)
    with pytest.raises(Refused, match="at most times 3"):
        await hands.scale("b", 31)
    with pytest.raises(Refused, match="at most 20 % may be taken"):
        await hands.scale("c", 15)
    await hands.scale("c", 16)
    with pytest.raises(Refused, match="guard: from 20 to 15"):  # small steps do not get round it
        await hands.scale("c", 15)


async def test_never_below_what_must_serve(ledger: RedisLedger) -> None:
    hands = Hands(ledger, min_serving={"a": 8})
    await hands.scale("a", 8)
    with pytest.raises(Refused, match="a would have 7 replicas, fewer than 8"):
        await hands.scale("a", 7)
    await hands.scale("b", 1)


async def test_other_kinds_of_command_count_as_targets(ledger: RedisLedger) -> None:
    hands = Hands(ledger, max_targets=1, max_share=0.5)
    await hands.roll_back("a")
    with pytest.raises(Refused, match="guard: 1 other targets"):
        await hands.scale("b", 11)


async def test_nothing_acts_that_cannot_be_counted(own_server: RedisServer) -> None:
    ledger = RedisLedger.from_url(own_server.url, timeout_s=0.5)
    hands = Hands(ledger, max_targets=1)
    own_server.kill()
    with pytest.raises(LedgerUnavailable):
        await hands.scale("a", 11)
    await ledger.close()


steps = st.tuples(st.sampled_from(sorted(COUNTS)), st.integers(0, 60), st.integers(0, 30_000))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=25))
async def test_no_sequence_of_commands_gets_beyond_the_limits(
    new_ledger: Any, commands: list[tuple[str, int, int]]
) -> None:
    ledger = new_ledger()
    hands = Hands(ledger, max_targets=2, max_share=0.5)
    done: list[tuple[int, str, int]] = []
    for target, replicas, wait in commands:
        hands.now += wait
        try:
            await hands.scale(target, replicas)
        except Refused:
            continue
        if replicas != COUNTS[target]:
            done.append((hands.now, target, abs(replicas - COUNTS[target])))
        recent = [each for each in done if each[0] > hands.now - 60_000]
        assert len({name for _, name, _ in recent}) <= 2
        last = {name: change for _, name, change in recent}
        assert sum(last.values()) <= 20
    await ledger.close()
