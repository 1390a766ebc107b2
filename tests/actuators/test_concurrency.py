"""At most once and in order, under tasks, processes, kills and a ledger that goes away."""

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from actuators import ExecutionPolicy, RedisLedger, execute
from actuators.backoff import Backoff
from schemas import Command, Outcome
from tests.actuators.commands import Journal, scale, service
from tests.actuators.server import RedisServer

ROOT = Path(__file__).parents[2]
POLICY = ExecutionPolicy(polling=Backoff(base_s=0.001, cap_s=0.01))


async def execute_all(
    commands: Sequence[Command], ledger: RedisLedger, journal: Journal, policy: ExecutionPolicy = POLICY
) -> list[Outcome]:
    """All at once, each as its own task."""
    return list(
        await asyncio.gather(
            *(execute(c, ledger=ledger, actuator=journal, clock=lambda: 0, policy=policy) for c in commands)
        )
    )


async def test_fifty_tasks_with_one_command_act_once(ledger: RedisLedger) -> None:
    journal = Journal(service(), turns=20)
    outcomes = await execute_all([scale(1)] * 50, ledger, journal)
    assert len(journal.began) == 1
    assert Counter(outcome.status for outcome in outcomes) == {"executed": 1, "duplicate": 49}


@settings(max_examples=25, deadline=None)
@given(
    order=st.lists(st.integers(1, 15), min_size=1, max_size=40),
    turns=st.integers(0, 5),
)
def test_in_any_interleaving_each_acts_once_alone_and_in_order(
    new_ledger: Callable[[], RedisLedger], order: list[int], turns: int
) -> None:
    async def run() -> tuple[Journal, list[Outcome]]:
        ledger = new_ledger()
        journal = Journal(service(), turns=turns)
        outcomes = await execute_all([scale(sequence) for sequence in order], ledger, journal)
        await ledger.close()
        return journal, outcomes

    journal, outcomes = asyncio.run(run())
    acted = [command.sequence for command in journal.began]
    assert acted == sorted(set(acted))
    assert max(order) in acted
    assert [what for what, _ in journal.entries] == ["begin", "end"] * len(acted)
    executed = {outcome.command for outcome in outcomes if outcome.status == "executed"}
    assert executed == {command.id for command in journal.began}
    assert {outcome.status for outcome in outcomes} <= {"executed", "duplicate", "fenced"}


def worker(url: str, namespace: str, acts: Path, mode: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.actuators.worker", url, namespace, str(acts), mode]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> list[dict[str, str]]:
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [json.loads(line) for line in text.splitlines()]


def test_two_processes_with_the_same_commands_act_once_and_in_order(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    acts = tmp_path / "acts"
    workers = [worker(redis_server.url, "two-processes", acts, "all") for _ in range(2)]
    outcomes = [outcome for process in workers for outcome in finished(process)]
    lines = acts.read_text().splitlines()
    by_target: dict[str, list[int]] = {}
    for line in lines:
        target, sequence = line.split()
        by_target.setdefault(target, []).append(int(sequence))
    assert len(by_target) == 5
    for acted in by_target.values():
        assert acted == sorted(set(acted))
        assert acted[-1] == 50
    assert sum(outcome["status"] == "executed" for outcome in outcomes) == len(lines)


def test_a_command_survives_the_kill_of_its_worker(redis_server: RedisServer, tmp_path: Path) -> None:
    acts = tmp_path / "acts"
    killed = worker(redis_server.url, "killed", acts, "hang")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "acting\n"
    killed.kill()
    killed.communicate()
    repeated = finished(worker(redis_server.url, "killed", acts, "one"))
    assert [(o["command"], o["status"]) for o in repeated] == [("checkout-1", "executed")]
    assert acts.read_text().splitlines() == [
        "checkout 1",
        "checkout 1",
    ]  # under the same id, declared harmless


def test_a_command_that_may_not_be_repeated_acts_once_in_spite_of_a_kill(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    acts = tmp_path / "acts"
    killed = worker(redis_server.url, "unrepeatable", acts, "hang")
    assert killed.stdout is not None
    assert killed.stdout.readline() == "acting\n"
    killed.kill()
    killed.communicate()
    outcomes = finished(worker(redis_server.url, "unrepeatable", acts, "one-unrepeatable"))
    assert [o["status"] for o in outcomes] == ["unknown"]
    assert acts.read_text().splitlines() == ["checkout 1"]


async def test_while_the_ledger_is_dead_nothing_acts_and_then_everything_once(
    own_server: RedisServer,
) -> None:
    ledger = RedisLedger.from_url(own_server.url, timeout_s=1.0)
    targets = [f"service-{number}" for number in range(8)]
    commands = [scale(s, id=f"{t}-{s}", target=t) for s in range(1, 6) for t in targets]
    shops = {target: service(target) for target in targets}
    begun: list[str] = []
    waiting: set[str] = set()
    all_wait = asyncio.Event()
    alive = True

    class Killing(Journal):
        """Kills the ledger's server while its tenth command acts."""

        async def apply(self, command: Command):  # type: ignore[no-untyped-def]
            nonlocal alive
            begun.append(command.id)
            if len(begun) == 10:
                alive = False
                own_server.kill()
            return await super().apply(command)

    async def lane(target: str) -> list[Outcome]:
        async def sleep(delay: float) -> None:
            if not alive:
                waiting.add(target)
                if len(waiting) == len(targets):
                    all_wait.set()
            await asyncio.sleep(min(delay, 0.05))

        journal = Killing(shops[target])
        return [
            await execute(c, ledger=ledger, actuator=journal, clock=lambda: 0, policy=POLICY, sleep=sleep)
            for c in commands
            if c.target == target
        ]

    lanes = asyncio.gather(*(lane(target) for target in targets))
    await all_wait.wait()
    before = list(begun)
    for _ in range(100):
        await asyncio.sleep(0)
    assert begun == before  # dead: whoever asks waits
    alive = True
    own_server.start()
    outcomes = [outcome for results in await lanes for outcome in results]
    assert {outcome.status for outcome in outcomes} == {"executed"}
    executions = {id_: count for shop in shops.values() for id_, count in shop.executions.items()}
    assert executions == {command.id: 1 for command in commands}
    await ledger.close()
