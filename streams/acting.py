"""From a command on the topic to its outcome on the topic; targets side by side, each in order."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from faust.streams import Stream
from faust.types import EventT

from actuators import Actuator, ExecutionPolicy, Ledger, execute
from actuators.execute import Verify
from schemas import Command, Outcome, SchemaError, decode
from streams.ingest import dead_letter
from streams.output import Output, output
from streams.record import Record

log = logging.getLogger(__name__)

IN_FLIGHT = 64  # batches of commands under way at once

Send = Callable[[Output], Awaitable[None]]
Crash = Callable[[BaseException], Awaitable[None]]


class Hands:
    """Carries out commands. A platform that hangs holds up its own target only.

    `actuators` and `policies` are by target. A batch is acknowledged when all its outcomes are written;
    `crash` is called with the error where that is not possible. `verify` is the gate of signed commands.
    """

    def __init__(
        self,
        *,
        actuators: Mapping[str, Actuator],
        policies: Mapping[str, ExecutionPolicy],
        ledger: Ledger,
        clock: Callable[[], int],
        send: Send,
        crash: Crash,
        verify: Verify | None = None,
    ) -> None:
        self._actuators = actuators
        self._policies = policies
        self._ledger = ledger
        self._clock = clock
        self._send = send
        self._crash = crash
        self._verify = verify
        self._lanes: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._room = asyncio.Semaphore(IN_FLIGHT)
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, stream: Stream[Sequence[Record]]) -> None:
        """The agent: start on each batch of the stream, for ever."""
        async for event in stream.noack().events():
            await self._room.acquire()
            task = asyncio.create_task(self._batch(event))
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()

    async def _batch(self, event: EventT[Any]) -> None:
        try:
            await asyncio.gather(*(self._record(record) for record in cast(Sequence[Record], event.value)))
        except Exception as error:
            # Not acknowledged: the commands come again to the next worker that has the partition.
            await self._crash(error)
        else:
            event.ack()

    async def _record(self, record: Record) -> None:
        try:
            command = decode(record.value or b"", Command)
        except SchemaError as error:
            await self._send(output("dead-letters", record.topic, dead_letter(record, str(error))))
            return
        async with self._lanes[command.target]:
            source = f"{record.topic}:{record.partition}:{record.offset}"
            outcome = await self.carry_out(command, source)
            await self._send(output("outcomes", command.target, outcome))

    async def carry_out(self, command: Command, source: str | None = None) -> Outcome:
        """Take `command` through the ledger to its platform; return what became of it."""
        actuator = self._actuators.get(command.target)
        if actuator is None:
            known = ", ".join(sorted(self._actuators)) or "none"
            return Outcome(
                command=command.id,
                target=command.target,
                kind=command.kind,
                status="failed",
                detail=f"no target `{command.target}` is configured here; known: {known}",
                actuator="none",
                at=self._clock(),
            )
        return await execute(
            command,
            ledger=self._ledger,
            actuator=actuator,
            clock=self._clock,
            policy=self._policies[command.target],
            verify=self._verify,
            source=source,
        )

    async def release(self, within_s: float = 5.0) -> None:
        """Finish what is under way; what takes longer is given up and comes again to the next owner."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
