"""The ledger's port: what makes a command act at most once, in order, and not while paused.

Per target and kind of action (a lane) the ledger holds the highest sequence that acted, the issue
time that cool-down counts from, and a lease of the worker that is acting now; per command id its
claim and its outcome; pauses per target and for everything.
"""

from dataclasses import dataclass
from typing import Literal, Protocol

import msgspec

from schemas import Command, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The answer to "may this command act now?".

    - `granted`: act, then settle.
    - `repeat`: an earlier worker claimed it and never reported; repeat under the same id, then settle.
    - `busy`: another worker is acting on this target and kind now; ask again.
    - `refused`: it must not act; `outcome` (recorded) says why.
    - `duplicate`: it was decided before; `outcome` is the first one.

    `source` names the record that brought the first one, where that was told.
    """

    state: Literal["granted", "repeat", "busy", "refused", "duplicate"]
    outcome: Outcome | None = None
    source: str | None = None


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A stop of the hands: on `target`, or on everything (None). `at` is Unix ms."""

    target: str | None
    by: str
    reason: str
    at: int


class Ledger(Protocol):
    """Every method raises `LedgerUnavailable` where the ledger cannot be asked now."""

    async def claim(
        self,
        command: Command,
        *,
        holder: str,
        now: int,
        cooldown_ms: int,
        lease_ms: int,
        actuator: str,
        repeatable: bool,
        source: str | None = None,
    ) -> Claim:
        """Decide in one atomic step, at `now` (Unix ms), whether `command` may act, and write the decision.

        The same `holder` may ask again (its answer was lost on the way) and gets the same answer. The
        lease lasts `lease_ms` of the ledger's own time; after it, a claim without outcome counts as
        interrupted. Cool-down compares issue times, so a replay decides the same.
        """
        ...

    async def renew(self, command: Command, *, holder: str, lease_ms: int) -> bool:
        """Hold the lane for another `lease_ms`; False where another worker took the claim over."""
        ...

    async def settle(self, command: Command, outcome: Outcome, *, holder: str) -> Outcome | None:
        """Record the outcome and free the lane; the first outcome stands and is returned.

        None where another worker took the claim over: its outcome will stand.
        """
        ...

    async def outcome(self, command: Command) -> Outcome | None:
        """The recorded outcome, None where there is none (yet)."""
        ...

    async def pause(self, target: str | None, *, by: str, reason: str, at: int) -> None:
        """Stop the hands on `target`, or on everything (None), from the next claim on."""
        ...

    async def resume(self, target: str | None) -> bool:
        """Lift that pause; False where there was none."""
        ...

    async def pauses(self) -> list[Pause]:
        """The pauses in force: the one on everything first, then by target."""
        ...

    async def close(self) -> None:
        """Release the connections; harmless when called again."""
        ...
