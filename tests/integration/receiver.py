"""A webhook receiver that honours idempotency keys, as the platforms behind it should."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from schemas import Command, decode
from tests.serving import serving


class Receiver:
    """Acts once per idempotency key; `requests` counts all, `effects` has the commands in order of acting.

    `before` is called with the number of effects so far ahead of each answer.
    """

    def __init__(self) -> None:
        self.url = ""
        self.requests: Counter[str] = Counter()
        self.effects: dict[str, Command] = {}
        self.status = 200
        self.hang = False
        self.before: Callable[[int], None] = lambda _: None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Act and answer."""
        key = request.headers["Idempotency-Key"]
        command = decode(await request.read(), Command)
        assert command.id == key
        self.requests[key] += 1
        if self.hang:
            await asyncio.Event().wait()
        if self.status == 200:
            self.effects.setdefault(key, command)
        self.before(len(self.effects))
        return web.json_response({"detail": f"did {key}"}, status=self.status)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A `Receiver` that listens on `receiver.url`."""
    receiver = Receiver()
    async with serving(receiver.handle, path="/act") as url:
        receiver.url = f"{url}/act"
        yield receiver
