"""A real HTTP server on loopback."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer


@asynccontextmanager
async def serving(
    handle: Callable[[web.Request], Awaitable[web.StreamResponse]],
    method: str = "POST",
    path: str = "/{rest:.*}",
) -> AsyncIterator[str]:
    """Answer requests by `handle` meanwhile; gives the server's URL, without a slash at its end."""
    app = web.Application()
    app.router.add_route(method, path, handle)
    async with TestServer(app, host="127.0.0.1", shutdown_timeout=0.0) as server:
        yield str(server.make_url("")).rstrip("/")
