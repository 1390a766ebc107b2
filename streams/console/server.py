"""The console's web server: page, server-sent events, JSON, Prometheus metrics, health."""

import asyncio
import importlib.resources
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from streams.console.feed import Feed, Subscription
from streams.console.meters import meters
from streams.console.part import Part

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

UPDATE_S = 0.25  # new items are gathered for so long; a page needs no more than four updates a second
QUIET_S = 2.0  # with nothing new the figures still go on, and keep the connection alive
WRITE_S = 10.0  # a watcher whose connection takes nothing for so long is dropped
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
STATIC = {
    "/": ("index.html", "text/html"),
    "/static/style.css": ("style.css", "text/css"),
    "/static/console.js": ("console.js", "text/javascript"),
    "/static/chart.js": ("chart.js", "text/javascript"),
    "/static/charts.js": ("charts.js", "text/javascript"),
    "/static/format.js": ("format.js", "text/javascript"),
    "/static/lists.js": ("lists.js", "text/javascript"),
    "/static/state.js": ("state.js", "text/javascript"),
    "/static/words.js": ("words.js", "text/javascript"),
    "/static/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    # Labels are untrusted input. The page builds text nodes only; should that ever fail, nothing inline runs.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class ConsoleError(RuntimeError):
    """The console cannot listen; the text names the address and what to do."""


def _ready() -> str | None:
    return None


Tell = Callable[[Mapping[str, Any]], Awaitable[str]]  # what the page said of an alarm: what to answer


class Console:
    """Serves `feed` and `registry` on `host`:`port` (0 picks a free port) until stopped.

    `ready` returns None when the worker takes part in its group, else what it waits for. At most
    `watchers` pages are kept up to date at once. `tell` is given what somebody says of an alarm, and raises
    ValueError where that is nothing; without it, or where the address is not on loopback, nobody can say it.
    """

    def __init__(
        self,
        feed: Feed,
        registry: CollectorRegistry,
        *,
        host: str = "127.0.0.1",
        port: int = 8_080,
        ready: Callable[[], str | None] = _ready,
        watchers: int = 64,
        tell: Tell | None = None,
    ) -> None:
        self._feed = feed
        self._registry = registry
        self._host = host
        self._wanted_port = port
        self._ready = ready
        self._most = watchers
        self._tell = tell
        self._watching: set[Subscription] = set()
        self._files = {
            path: (importlib.resources.files("streams.console").joinpath("static", name).read_bytes(), kind)
            for path, (name, kind) in STATIC.items()
        }
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on; the wanted one while it does not."""
        if self._runner is not None and self._runner.addresses:
            return int(self._runner.addresses[0][1])
        return self._wanted_port

    @property
    def url(self) -> str:
        """The page's address."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}/"

    async def start(self) -> None:
        """Listen.

        Raises:
            ConsoleError: the address cannot be had.
        """
        app = web.Application(middlewares=[self._guard])
        app.add_routes([web.get(path, self._file) for path in self._files])
        app.add_routes(
            [
                web.get("/stream", self._stream),
                web.get("/api/state", self._state),
                web.post("/api/feedback", self._feedback),
                web.get("/metrics", self._metrics),
                web.get("/healthz", self._healthz),
                web.get("/readyz", self._readyz),
            ]
        )
        app.on_shutdown.append(self._end_streams)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._wanted_port).start()
        except OSError as error:
            await runner.cleanup()
            raise ConsoleError(
                f"the console cannot listen on {self._host}:{self._wanted_port}: {error.strerror}; "
                "set telemetry.host and telemetry.port to a free address (port 0 picks one)"
            ) from error
        self._runner = runner

    async def stop(self) -> None:
        """End all streams and stop listening; harmless when it does not listen."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _end_streams(self, app: web.Application) -> None:
        for watcher in self._watching:
            watcher.close()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        # A page of a foreign site may point its own name at this address (DNS rebinding) to read from it.
        if self._host in LOOPBACK and _host_of(request) not in LOOPBACK:
            return web.Response(
                status=403,
                text="the console listens on loopback and answers as localhost and 127.0.0.1 only\n",
                headers=HEADERS,
            )
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(HEADERS)
            raise
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    # -- pages ---------------------------------------------------------------------------------

    async def _file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8")

    async def _state(self, request: web.Request) -> web.Response:
        target = request.query.get("target")
        if target is not None and target not in self._feed.targets:
            known = ", ".join(self._feed.targets) or "none yet"
            raise web.HTTPNotFound(text=f"no target `{target}` has been seen here; known: {known}\n")
        return web.Response(
            body=msgspec.json.encode(self._metered(self._feed.snapshot(target))),
            content_type="application/json",
        )

    async def _feedback(self, request: web.Request) -> web.Response:
        # There is no login: only a page of this very server, on loopback, may change anything. A page of a
        # foreign site can send neither this type without being asked first nor this server's own origin.
        own = request.headers.get("Origin", "") == f"http://{request.host}"
        if self._tell is None or self._host not in LOOPBACK:
            raise web.HTTPForbidden(text="feedback is taken on loopback only: use `tidegate feedback`\n")
        if not own or request.content_type != "application/json":
            raise web.HTTPForbidden(text="feedback is taken from the console's own page, as JSON\n")
        try:
            said = msgspec.json.decode(await request.read(), type=dict[str, Any])
            return web.Response(text=await self._tell(said) + "\n")
        except (ValueError, RuntimeError) as error:  # msgspec's errors are ValueErrors
            raise web.HTTPBadRequest(text=f"{error}\n") from error

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, kind = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": kind})

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        waiting = self._ready()
        if waiting is not None:
            return web.Response(status=503, text=f"not ready: {waiting}\n")
        return web.Response(text="ok\n")

    # -- stream --------------------------------------------------------------------------------

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if len(self._watching) >= self._most:
            raise web.HTTPServiceUnavailable(
                text=f"{self._most} pages watch already; close one\n", headers={"Retry-After": "10"}
            )
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **HEADERS})
        await response.prepare(request)
        watcher = self._feed.subscribe(request.query.get("target"))
        self._watching.add(watcher)
        try:
            # A page that went away, or takes nothing any more, is no fault of the worker.
            with suppress(ConnectionError, TimeoutError):
                await self._send(response, watcher)
        finally:
            watcher.close()
            self._watching.discard(watcher)
        return response

    async def _send(self, response: web.StreamResponse, watcher: Subscription) -> None:
        part: Part | None = self._metered(self._feed.snapshot(watcher.target))
        event = b"retry: 1000\nevent: snapshot"
        while part is not None:
            await _write(response, event + b"\ndata: " + msgspec.json.encode(part) + b"\n\n")
            await asyncio.sleep(UPDATE_S)
            part, event = await self._news(watcher), b"event: update"

    async def _news(self, watcher: Subscription) -> Part | None:
        """What is new, or the meters alone where nothing was for a while; None at the end."""
        try:
            async with asyncio.timeout(QUIET_S):
                part = await watcher.next()
        except TimeoutError:
            part = Part(target=watcher.target)
        return None if part is None else self._metered(part)

    def _metered(self, part: Part) -> Part:
        part.meters = meters(self._registry)
        return part


async def _write(response: web.StreamResponse, data: bytes) -> None:
    async with asyncio.timeout(WRITE_S):
        await response.write(data)


def _host_of(request: web.Request) -> str | None:
    try:
        return request.url.host
    except ValueError:  # a malformed Host header
        return None
