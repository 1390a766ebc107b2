"""The gates in order, and what becomes of a command at each, on a real ledger."""

import asyncio
import logging
from typing import Any

import pytest

from actuators import (
    Applied,
    DryRun,
    ExecutionPolicy,
    LedgerUnavailable,
    RedisLedger,
    Unauthorised,
    Unavailable,
    execute,
)
from actuators.noop import Noop
from schemas import Command, Outcome, Place, Rollback
from tests.actuators.commands import Journal, act, scale, service

POLICY = ExecutionPolicy(lease_ms=10_000, act_timeout_s=20.0)


async def run(command: Command, ledger: RedisLedger, actuator: Any, **changes: Any) -> Outcome:
    defaults: dict[str, Any] = {"clock": lambda: 5000, "policy": POLICY}
    return await execute(command, ledger=ledger, actuator=actuator, **(defaults | changes))


async def test_a_command_is_carried_out_and_told_in_words(ledger: RedisLedger) -> None:
    shop = service(replicas=1)
    outcome = await run(scale(1, 4), ledger, shop)
    assert outcome == Outcome(
        command="scale-1",
        target="checkout",
        kind="scale",
        status="executed",
        detail="checkout: 1 -> 4 replicas",
        actuator="simulated",
        at=5000,
        attempts=1,
    )
    assert await shop.replicas("checkout") == 4


async def test_the_same_record_again_gets_the_first_outcome_itself(ledger: RedisLedger) -> None:
    shop = service()
    first = await run(scale(1), ledger, shop, source="commands:0:41")
    assert await run(scale(1), ledger, shop, source="commands:0:41") == first
    assert shop.executions == {"scale-1": 1}


async def test_another_record_of_the_same_command_is_a_duplicate_that_quotes_the_first(
    ledger: RedisLedger,
) -> None:
    shop = service()
    await run(scale(1, 4), ledger, shop, source="commands:0:41")
    again = await run(scale(1, 4), ledger, shop, source="commands:0:99")
    assert (again.status, again.detail) == (
        "duplicate",
        "decided at 5000: executed: checkout: 1 -> 4 replicas",
    )
    assert shop.executions == {"scale-1": 1}


async def test_each_refusal_has_its_status_and_touches_nothing(ledger: RedisLedger) -> None:
    shop = service()
    policy = ExecutionPolicy(cooldown_ms={"scale": 10_000})
    await run(scale(10), ledger, shop, policy=policy)
    await ledger.pause("search", by="ana", reason="x", at=1)
    refusals = [
        await run(scale(11), ledger, shop, policy=policy),
        await run(scale(9), ledger, shop, policy=policy),
        await run(scale(30, expires_at=5000), ledger, shop, policy=policy),
        await run(scale(40, target="search"), ledger, service("search"), policy=policy),
    ]
    assert [outcome.status for outcome in refusals] == ["cooling-down", "fenced", "expired", "paused"]
    assert all(outcome.attempts == 0 for outcome in refusals)
    assert shop.executions == {"scale-10": 1}


async def test_cool_down_is_by_kind(ledger: RedisLedger) -> None:
    shop = service()
    policy = ExecutionPolicy(cooldown_ms={"scale": 10_000})
    shop.deploy("v2", 0, bad=True)
    await run(scale(1), ledger, shop, policy=policy)
    back = act(Rollback(release="v2", to=None), issued_at=1001)
    assert (await run(back, ledger, shop, policy=policy)).status == "executed"


async def test_an_unauthorised_command_leaves_no_trace_under_its_id(ledger: RedisLedger) -> None:
    def verify(command: Command) -> None:
        if command.signature is None:
            raise Unauthorised("the command is not signed")

    shop = service()
    forged = await run(scale(1), ledger, shop, verify=verify)
    assert (forged.status, forged.detail) == ("unauthorised", "the command is not signed")
    assert shop.executions == {}
    genuine = await run(scale(1, signature="good"), ledger, shop, verify=verify)
    assert genuine.status == "executed"


async def test_a_dry_run_acts_on_nothing_and_says_so(ledger: RedisLedger) -> None:
    shop = service(replicas=2)
    outcome = await run(scale(1, 4), ledger, DryRun(shop))
    assert (outcome.status, outcome.detail) == (
        "dry-run",
        "would scale checkout to 4, which has 2 replicas now",
    )
    assert shop.executions == {}


async def test_a_kind_that_the_actuator_lacks_fails_with_those_it_has(ledger: RedisLedger) -> None:
    outcome = await run(act(Place(job="nightly", node="n1", start_at=1)), ledger, service())
    assert (outcome.status, outcome.detail) == (
        "failed",
        "simulated cannot place; it can promote, rollback, scale, set-traffic",
    )


class Broken(Noop):
    """Raises what it was given."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def apply(self, command: Command) -> Applied:
        raise self._error


async def test_a_platform_that_does_not_answer_fails_the_command_with_its_attempts(
    ledger: RedisLedger,
) -> None:
    outcome = await run(scale(1), ledger, Broken(Unavailable("no answer", attempts=4)))
    assert (outcome.status, outcome.detail, outcome.attempts) == ("failed", "no answer", 4)


async def test_a_defect_in_an_actuator_fails_its_command_only(
    ledger: RedisLedger, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = await run(scale(1), ledger, Broken(KeyError("spec")))
    assert (outcome.status, outcome.detail) == ("failed", "defect in the actuator: KeyError: 'spec'")
    assert "has a defect" in caplog.text
    assert (await run(scale(2), ledger, service())).status == "executed"


class Hanging(Noop):
    """Never returns from `apply`; tells when it is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = asyncio.Event()

    async def apply(self, command: Command) -> Applied:
        self.inside.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable")


async def test_an_actuator_that_hangs_is_given_up(ledger: RedisLedger) -> None:
    policy = ExecutionPolicy(act_timeout_s=0.05)
    outcome = await run(scale(1), ledger, Hanging(), policy=policy)
    assert (outcome.status, outcome.detail) == ("failed", "no answer within 0.05 s; it may have acted")
    assert (await run(scale(2), ledger, service())).status == "executed"


async def interrupt(ledger: RedisLedger, command: Command) -> None:
    """A worker claims `command` and is cancelled while it acts."""
    hanging = Hanging()
    task = asyncio.create_task(run(command, ledger, hanging, policy=ExecutionPolicy(lease_ms=200)))
    await hanging.inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_interrupted_command_is_repeated_under_its_id(ledger: RedisLedger) -> None:
    await interrupt(ledger, scale(1, 4))
    shop = Journal(service(), repeatable=True)
    outcome = await run(scale(1, 4), ledger, shop)
    assert (outcome.status, outcome.detail) == ("executed", "checkout: 1 -> 4 replicas")
    assert [command.id for command in shop.began] == ["scale-1"]


async def test_an_interrupted_command_that_may_not_be_repeated_ends_unknown(ledger: RedisLedger) -> None:
    await interrupt(ledger, scale(1, 4))
    shop = Journal(service(), repeatable=False)
    outcome = await run(scale(1, 4), ledger, shop)
    assert outcome.status == "unknown"
    assert shop.began == []
    assert (await run(scale(1, 4), ledger, shop)).status == "duplicate"


async def test_a_lease_outlives_a_long_action(ledger: RedisLedger) -> None:
    """The action ends only after another worker has asked for longer than the lease."""
    policy = ExecutionPolicy(lease_ms=2000, act_timeout_s=30.0)
    release = asyncio.Event()
    inside = asyncio.Event()

    class Slow(Noop):
        async def apply(self, command: Command) -> Applied:
            inside.set()
            await release.wait()
            return await super().apply(command)

    slow = asyncio.create_task(run(scale(1), ledger, Slow(), policy=policy))
    await inside.wait()
    started = asyncio.get_running_loop().time()

    async def polled(delay: float) -> None:
        if asyncio.get_running_loop().time() - started > 3.0:
            release.set()
        await asyncio.sleep(delay)

    shop = Journal(service())
    newer = await run(scale(2), ledger, shop, policy=policy, sleep=polled)
    assert newer.status == "executed"
    assert (await slow).status == "executed"
    assert release.is_set()  # the newer one had to wait for the older to end, not for its lease


async def test_a_worker_whose_lease_cannot_be_renewed_stops_acting(
    ledger: RedisLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot know whether another has taken over, so it lets go, and asks anew."""

    class Cut(RedisLedger):
        async def renew(self, command: Command, *, holder: str, lease_ms: int) -> bool:
            raise LedgerUnavailable("cut off")

    cut = Cut(ledger._redis, namespace="cut")
    acting: list[str] = []

    class SlowOnce(Noop):
        async def apply(self, command: Command) -> Applied:
            acting.append(command.id)
            if len(acting) == 1:
                await asyncio.Event().wait()
            return await super().apply(command)

    outcome = await run(scale(1), cut, SlowOnce(), policy=ExecutionPolicy(lease_ms=200, act_timeout_s=30.0))
    assert outcome.status == "executed"
    assert acting == ["scale-1", "scale-1"]


async def test_waiting_for_the_ledger_is_logged_once(
    ledger: RedisLedger, caplog: pytest.LogCaptureFixture
) -> None:
    away = iter([True] * 5)

    class Flaky(RedisLedger):
        async def claim(self, command: Command, **rest: Any) -> Any:
            if next(away, False):
                raise LedgerUnavailable("the ledger does not answer: refused")
            return await super().claim(command, **rest)

    delays: list[float] = []

    async def sleep(delay: float) -> None:
        delays.append(delay)

    with caplog.at_level(logging.WARNING, "tidegate.actuators"):
        outcome = await run(scale(1), Flaky(ledger._redis, namespace="flaky"), service(), sleep=sleep)
    assert outcome.status == "executed"
    assert len(delays) == 5
    assert caplog.messages == [
        "command scale-1 waits, and nothing acts: the ledger does not answer: refused",
        "the ledger answers again: command scale-1 goes on",
    ]


async def test_an_expiry_while_waiting_counts(ledger: RedisLedger) -> None:
    """What has waited too long for the ledger is not carried out late."""
    now = 1000

    class Away(RedisLedger):
        async def claim(self, command: Command, **rest: Any) -> Any:
            if now < 9000:
                raise LedgerUnavailable("away")
            return await super().claim(command, **rest)

    async def sleep(delay: float) -> None:
        nonlocal now
        now += 1000

    outcome = await run(
        scale(1, expires_at=6000),
        Away(ledger._redis, namespace="away"),
        service(),
        sleep=sleep,
        clock=lambda: now,
    )
    assert (outcome.status, outcome.at) == ("expired", 9000)
