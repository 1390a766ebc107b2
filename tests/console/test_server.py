import asyncio
import json
import socket
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from streams.console import Console, ConsoleError, Feed
from streams.console.server import STATIC
from tests.console.conftest import Running
from tests.console.messages import T0, alert, anomaly, forecast, scale


async def get(url: str, **headers: str) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return response.status, await response.text(), response.headers


class Events:
    """Server-sent events of a stream, parsed one by one."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> tuple[str, dict[str, Any]] | None:
        """Kind and data of the next event, None at the end of the stream."""
        kind, data = "message", ""
        while line := (await self._response.content.readline()).decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                data = value
            elif not name and data:
                return kind, json.loads(data)
        return None

    async def until(self, field: str) -> dict[str, Any]:
        """The next event that holds something in `field`."""
        while event := await self.next():
            if event[1][field]:
                return event[1]
        raise AssertionError(f"the stream ended before {field}")


async def test_all_of_the_page_is_served_under_a_strict_policy(running: Running) -> None:
    for path, (name, kind) in STATIC.items():
        status, text, headers = await get(running.url.rstrip("/") + path)
        assert (status, headers["Content-Type"]) == (200, f"{kind}; charset=utf-8"), name
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert text


async def test_metrics_are_what_prometheus_reads(running: Running) -> None:
    running.telemetry.outputs("plan", [forecast()])
    status, text, headers = await get(running.url + "metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    assert 'tidegate_target_load{target="checkout"} 40.0' in text
    _, text, headers = await get(
        running.url + "metrics", Accept="application/openmetrics-text; version=1.0.0"
    )
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert text.endswith("# EOF\n")


async def test_health_and_readiness(running: Running) -> None:
    assert (await get(running.url + "healthz"))[0] == 200
    assert (await get(running.url + "readyz"))[0] == 200
    running.waiting_for.append("no broker answers")
    assert (await get(running.url + "healthz"))[0] == 200
    status, text, _ = await get(running.url + "readyz")
    assert (status, text) == (503, "not ready: no broker answers\n")


async def test_the_state_is_json(running: Running) -> None:
    running.feed.outputs("plan", [forecast(), scale()])
    running.telemetry.ledger(True)
    _, text, _ = await get(running.url + "api/state?target=checkout")
    state = json.loads(text)
    assert state["load"] == [[T0, 40.0]]
    assert state["commands"][0]["action"] == {"kind": "scale", "replicas": 7, "previous": 5}
    assert state["meters"]["ledger_up"] == 1
    status, text, _ = await get(running.url + "api/state?target=nowhere")
    assert status == 404
    assert "known: checkout" in text


async def test_meters_sum_over_labels_and_tell_the_latency(running: Running) -> None:
    running.telemetry.outputs("detect", [anomaly() for _ in range(100)])
    running.telemetry.lag([("metrics", 0, 3), ("metrics", 1, 4)])
    _, text, _ = await get(running.url + "api/state")
    meters = json.loads(text)["meters"]
    assert meters["lag"] == 7
    assert meters["latency_p99_s"] == 0.025  # produced 12 ms ago: within the bucket up to 25 ms


async def test_a_stream_is_a_snapshot_and_then_what_is_new(running: Running) -> None:
    running.feed.outputs("plan", [forecast()])
    async with aiohttp.ClientSession() as session, session.get(running.url + "stream") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        events = Events(response)
        kind, snapshot = await events.next() or ("", {})
        assert (kind, snapshot["load"]) == ("snapshot", [[T0, 40.0]])
        running.feed.outputs("detect", [alert()])
        update = await events.until("alerts")
        assert update["load"] == []
        assert [a["state"] for a in update["alerts"]] == ["firing"]


async def test_the_figures_go_on_when_nothing_is_written(running: Running) -> None:
    async with aiohttp.ClientSession() as session, session.get(running.url + "stream") as response:
        events = Events(response)
        assert await events.next()
        running.telemetry.lag([("metrics", 0, 9)])
        kind, update = await events.next() or ("", {})
        assert (kind, update["meters"]["lag"]) == ("update", 9)


async def test_a_client_that_falls_behind_is_sent_away(running: Running) -> None:
    async with aiohttp.ClientSession() as session, session.get(running.url + "stream") as response:
        events = Events(response)
        assert await events.next()
        for i in range(501):  # one more than the backlog, before the stream can send any
            running.feed.outputs("detect", [anomaly(id=f"a{i}")])
        assert await events.next() is None


async def test_one_page_too_many_is_refused_and_a_place_becomes_free(running: Running) -> None:
    async with aiohttp.ClientSession() as session, AsyncExitStack() as streams:
        opened = [await streams.enter_async_context(session.get(running.url + "stream")) for _ in range(3)]
        assert (await get(running.url + "stream"))[0] == 503
        opened[0].close()
        # The server notices the closed connection when it next writes.
        async with asyncio.timeout(20):
            while True:
                running.feed.outputs("detect", [alert()])
                async with session.get(running.url + "stream") as again:
                    if again.status == 200:
                        return


async def test_stopping_ends_open_streams(running: Running) -> None:
    async with aiohttp.ClientSession() as session, session.get(running.url + "stream") as response:
        events = Events(response)
        assert await events.next()
        await running.console.stop()
        assert await events.next() is None


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[", ""])
async def test_on_loopback_a_foreign_name_reads_nothing(running: Running, host: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.console.port)
    writer.write(f"GET /api/state HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert answer.split()[1] in (b"403", b"400")
    assert b"counts" not in answer


async def test_a_taken_port_says_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        console = Console(Feed(), CollectorRegistry(), port=port)
        with pytest.raises(ConsoleError, match=rf"127.0.0.1:{port}.*telemetry.port"):
            await console.start()


async def test_an_unknown_path_is_not_found(running: Running) -> None:
    assert (await get(running.url + "static/../server.py"))[0] == 404
    assert (await get(running.url + "static/server.py"))[0] == 404
