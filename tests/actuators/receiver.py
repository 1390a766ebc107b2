"""A real HTTP server on loopback that answers as it is told, attempt by attempt."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from tests.serving import serving

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answer(status: int, text: str = "", **headers: str) -> Answer:
    """Answers at once."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=named)

    return handle


async def hang(request: web.Request) -> web.StreamResponse:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def reset(request: web.Request) -> web.StreamResponse:
    """Breaks the connection in place of an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def drip(request: web.Request) -> web.StreamResponse:
    """Sends a byte again and again, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.01)


async def flood(request: web.Request) -> web.StreamResponse:
    """Sends without end, as fast as it is read."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65536)


class Receiver:
    """Answers by `script`, its last entry for all further attempts; keeps what it received."""

    def __init__(self, *script: Answer) -> None:
        self._script = list(script)
        self.requests: list[web.BaseRequest] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record and answer."""
        self.requests.append(request)
        self.bodies.append(await request.read())
        step = self._script.pop(0) if len(self._script) > 1 else self._script[0]
        return await step(request)


@asynccontextmanager
async def receiving(*script: Answer):  # type: ignore[no-untyped-def]
    """A `Receiver` that listens on `receiver.url`."""
    receiver = Receiver(*script)
    async with serving(receiver.handle, "*") as receiver.url:
        yield receiver
