"""Commands and probes for the tests of the hands."""

import asyncio
from typing import Any

import numpy as np

from actuators import Actuator, Applied
from actuators.simulated import ServiceConfig, SimulatedService
from schemas import Action, Command, Scale

NEVER = 10**15


def scale(sequence: int, replicas: int = 3, **changes: Any) -> Command:
    """A scale command on `checkout`, issued at second `sequence`."""
    fields: dict[str, Any] = {
        "id": f"scale-{sequence}",
        "target": "checkout",
        "sequence": sequence,
        "action": Scale(replicas=replicas, previous=1),
        "reasons": ["the forecast's 0.9 quantile needs 3 replicas"],
        "issued_at": sequence * 1000,
        "expires_at": NEVER,
    }
    return Command(**(fields | changes))


def act(action: Action, **changes: Any) -> Command:
    """A command with any action."""
    return scale(**({"sequence": 1, "id": "act-1", "action": action} | changes))


def service(target: str = "checkout", **config: Any) -> SimulatedService:
    """A simulated service with a fixed seed."""
    return SimulatedService(
        target, ServiceConfig(**({"capacity": 10.0} | config)), rng=np.random.default_rng(1)
    )


class Journal:
    """Wraps an actuator and writes down when each command began and ended to act."""

    def __init__(self, inner: Actuator, *, turns: int = 1, repeatable: bool = True) -> None:
        self.name = inner.name
        self.kinds = inner.kinds
        self.repeatable = repeatable
        self.began: list[Command] = []
        self.entries: list[tuple[str, str]] = []
        self._inner = inner
        self._turns = turns

    async def apply(self, command: Command) -> Applied:
        self.began.append(command)
        self.entries.append(("begin", command.id))
        for _ in range(self._turns):
            await asyncio.sleep(0)
        applied = await self._inner.apply(command)
        self.entries.append(("end", command.id))
        return applied

    async def replicas(self, target: str) -> int:
        return await self._inner.replicas(target)

    async def close(self) -> None:
        await self._inner.close()
