"""A worker process for the tests: python -m tests.actuators.worker URL NAMESPACE ACTS_FILE MODE."""

import asyncio
import random
import sys
from pathlib import Path

from actuators import Applied, ExecutionPolicy, RedisLedger, execute
from actuators.backoff import Backoff
from actuators.noop import Noop
from schemas import Command, encode
from tests.actuators.commands import scale

TARGETS = ("checkout", "search", "cart", "login", "stock")


class Append(Noop):
    """Acts by appending a line to a file; with `hang`, says so and never returns."""

    def __init__(self, acts: Path, *, hang: bool, repeatable: bool) -> None:
        super().__init__()
        self.repeatable = repeatable
        self._acts = acts
        self._hang = hang

    async def apply(self, command: Command) -> Applied:
        with self._acts.open("a") as file:
            file.write(f"{command.target} {command.sequence}\n")
        if self._hang:
            print("acting", flush=True)
            await asyncio.Event().wait()
        await asyncio.sleep(0.001)
        return await super().apply(command)


async def main(url: str, namespace: str, acts: str, mode: str) -> None:
    """Carry out one command (`one`, `one-unrepeatable`, `hang`) or 50 on each target, all at once (`all`)."""
    count = 50 if mode == "all" else 1
    targets = TARGETS if mode == "all" else TARGETS[:1]
    commands = [scale(s, id=f"{t}-{s}", target=t) for t in targets for s in range(1, count + 1)]
    random.shuffle(commands)
    actuator = Append(Path(acts), hang=mode == "hang", repeatable=mode != "one-unrepeatable")
    # Short where the test waits for it to lapse; long where a busy machine must not let it.
    lease_ms = 60_000 if mode == "all" else 1000
    policy = ExecutionPolicy(lease_ms=lease_ms, polling=Backoff(base_s=0.002, cap_s=0.05))
    ledger = RedisLedger.from_url(url, namespace=namespace, timeout_s=10.0)
    outcomes = await asyncio.gather(
        *(execute(c, ledger=ledger, actuator=actuator, clock=lambda: 0, policy=policy) for c in commands)
    )
    await ledger.close()
    for outcome in outcomes:
        print(encode(outcome).decode())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
