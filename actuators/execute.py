"""One command from the topic to its outcome: every gate, in reading order."""

import asyncio
import logging
import random
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from actuators.backoff import Backoff
from actuators.errors import ActuationError, LedgerUnavailable, Refused, Unauthorised
from actuators.ledger import Claim, Ledger
from actuators.port import Actuator, Applied
from schemas import Command, Outcome, Status

_log = logging.getLogger("tidegate.actuators")

T = TypeVar("T")

Clock = Callable[[], int]
Sleep = Callable[[float], Awaitable[None]]
Verify = Callable[[Command], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionPolicy:
    """`cooldown_ms` is the least time between issue times of commands of a kind on a target, by kind.

    A worker that dies while it acts holds its lane (target and kind) for `lease_ms`. An actuator gets
    `act_timeout_s` for a command, its retries included. `waiting` spaces questions to a ledger that is
    away, `polling` those to a lane that is busy.
    """

    cooldown_ms: Mapping[str, int] = field(default_factory=dict)
    lease_ms: int = 10_000
    act_timeout_s: float = 60.0
    waiting: Backoff = field(default_factory=lambda: Backoff(base_s=0.1, cap_s=5.0))
    polling: Backoff = field(default_factory=lambda: Backoff(base_s=0.02, cap_s=0.5))


async def execute(
    command: Command,
    *,
    ledger: Ledger,
    actuator: Actuator,
    clock: Clock,
    policy: ExecutionPolicy,
    verify: Verify | None = None,
    sleep: Sleep = asyncio.sleep,
    source: str | None = None,
) -> Outcome:
    """Carry `command` out at most once and return its outcome.

    `clock` gives Unix ms in the time of the command's own stamps. `verify` raises `Unauthorised` where
    the signature does not hold. `source` names the record that brought the command (topic, partition,
    offset): the same record delivered again gets the first outcome itself, since that may never have
    been published; another record with the same id gets a `duplicate` that quotes it.

    Waits, however long, while the ledger does not answer: nothing acts meanwhile.
    """
    run = _Run(
        command, ledger, actuator, clock, policy, sleep, random.Random(command.id)
    )  # jitter, replayable
    if verify is not None:
        try:
            verify(command)
        except Unauthorised as error:
            # Not recorded under the id: a forgery must not take the place of the real command.
            return run.outcome("unauthorised", str(error))
    if command.kind not in actuator.kinds:
        able = ", ".join(sorted(actuator.kinds))
        return run.outcome("failed", f"{actuator.name} cannot {command.kind}; it can {able}")
    while True:
        # New each time round: what was claimed before and lost counts as interrupted.
        holder = uuid.uuid4().hex
        try:
            claim = await run.claim(holder, source)
        except Refused as error:
            return run.outcome("failed", str(error))
        if claim.outcome is not None:
            return claim.outcome if claim.state == "refused" else _again(claim, claim.outcome, source)
        acted = await run.act(holder)
        settled = await run.settle(acted, holder) if acted is not None else None
        if settled is not None:
            return settled
        _log.warning("command %s: another worker took the claim over, or the lease lapsed", command.id)


def _again(claim: Claim, first: Outcome, source: str | None) -> Outcome:
    if source is not None and source == claim.source:
        return first
    words = f"decided at {first.at}: {first.status}: {first.detail}"
    return msgspec.structs.replace(first, status="duplicate", detail=words, attempts=0)


@dataclass(frozen=True, slots=True)
class _Run:
    """One command's way through the gates."""

    command: Command
    ledger: Ledger
    actuator: Actuator
    clock: Clock
    policy: ExecutionPolicy
    sleep: Sleep
    rng: random.Random

    def outcome(self, status: Status, detail: str, attempts: int = 0) -> Outcome:
        return Outcome(
            command=self.command.id,
            target=self.command.target,
            kind=self.command.kind,
            status=status,
            detail=detail,
            actuator=self.actuator.name,
            at=self.clock(),
            attempts=attempts,
        )

    async def claim(self, holder: str, source: str | None) -> Claim:
        """Ask until the ledger answers and the lane is free."""
        time = asyncio.get_running_loop().time
        polling = self.policy.polling.delays(self.rng)
        while True:
            asked = time()
            claim = await self.insist(
                lambda: self.ledger.claim(
                    self.command,
                    holder=holder,
                    now=self.clock(),
                    cooldown_ms=self.policy.cooldown_ms.get(self.command.kind, 0),
                    lease_ms=self.policy.lease_ms,
                    actuator=self.actuator.name,
                    repeatable=self.actuator.repeatable,
                    source=source,
                )
            )
            if claim.state == "busy":
                await self.sleep(next(polling))
            elif claim.outcome is not None or time() - asked < self.policy.lease_ms / 2000:
                return claim
            # else the answer took so long that the lease may lapse before the first renewal: ask again

    async def act(self, holder: str) -> Outcome | None:
        """Apply while the lease holds; None where it was lost, and the fate of the command with it."""
        work = asyncio.create_task(self.actuator.apply(self.command))
        keeper = asyncio.create_task(self.keep(holder))
        both: set[asyncio.Task[Any]] = {work, keeper}
        try:
            await asyncio.wait(both, timeout=self.policy.act_timeout_s, return_when=asyncio.FIRST_COMPLETED)
            lost = keeper.done()
        finally:
            work.cancel()
            keeper.cancel()
            await asyncio.gather(work, keeper, return_exceptions=True)
        if not work.cancelled():
            return self.report(work)
        if lost:
            return None
        return self.outcome("failed", f"no answer within {self.policy.act_timeout_s:g} s; it may have acted")

    def report(self, work: asyncio.Task[Applied]) -> Outcome:
        """The outcome of what the actuator returned or raised."""
        try:
            applied = work.result()
        except ActuationError as error:
            return self.outcome("failed", str(error), error.attempts)
        except Exception as error:
            # A defect in one actuator must not stop the commands of all others.
            _log.exception("command %s: actuator %s has a defect", self.command.id, self.actuator.name)
            return self.outcome("failed", f"defect in the actuator: {type(error).__name__}: {error}")
        return self.outcome("dry-run" if applied.dry_run else "executed", applied.detail, applied.attempts)

    async def keep(self, holder: str) -> None:
        """Renew the lease; return when it is lost or, with the ledger away, about to lapse."""
        time = asyncio.get_running_loop().time
        lease_s = self.policy.lease_ms / 1000
        good_until = time() + lease_s * 0.4  # the claim was asked for at most half a lease ago
        while time() < good_until:
            await asyncio.sleep(min(lease_s / 4, good_until - time()))
            asked = time()
            try:
                async with asyncio.timeout_at(good_until):
                    held = await self.ledger.renew(self.command, holder=holder, lease_ms=self.policy.lease_ms)
            except (LedgerUnavailable, TimeoutError):
                continue
            if not held:
                return
            good_until = asked + lease_s * 0.9

    async def settle(self, outcome: Outcome, holder: str) -> Outcome | None:
        """Record the outcome; None where another worker took the claim over."""
        return await self.insist(lambda: self.ledger.settle(self.command, outcome, holder=holder))

    async def insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the ledger until it answers; say once that the command waits, and once that it goes on."""
        delays: Iterator[float] | None = None
        while True:
            try:
                answer = await ask()
            except LedgerUnavailable as error:
                if delays is None:
                    delays = self.policy.waiting.delays(self.rng)
                    _log.error("command %s waits, and nothing acts: %s", self.command.id, error)
                await self.sleep(next(delays))
            else:
                if delays is not None:
                    _log.warning("the ledger answers again: command %s goes on", self.command.id)
                return answer
