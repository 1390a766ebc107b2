"""Receivers are told: a real Alertmanager, and a webhook that fails and recovers."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from schemas import Incident, decode
from streams.alerting import AlertPartition
from streams.check import examine
from streams.config import AlertConfig, IncidentConfig, ReceiverConfig, Route
from streams.embedded import free_port, spawn
from streams.telling.teller import receivers
from streams.worker import wall_clock
from tests.alerts.partition import MINUTE, change, process, silence
from tests.deploy.conftest import program
from tests.integration.harness import until
from tests.serving import serving
from tests.streams.records import START


def _config(kind: str, url: str, **fields: Any) -> AlertConfig:
    return AlertConfig(
        incidents=IncidentConfig(group_by=("rack",)),
        receivers={"r": ReceiverConfig(kind=kind, url=url, **fields)},  # type: ignore[arg-type]
        routes=(Route(matchers=("name!=quiet",), receivers=("topic", "r")), Route()),
    )


async def _tell(part: AlertPartition, config: AlertConfig, http: httpx.AsyncClient, now: int) -> int:
    """One pass of the only receiver; returns how much was due."""
    (receiver,) = receivers(config, {}, http)
    due: Any = receiver.due(part, now)
    await receiver.tell(part, due, now)
    return len(due)


# -- Alertmanager -----------------------------------------------------------------------------------


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[str]:
    """A real Alertmanager, grouping by incident."""
    path = program("alertmanager", "prometheus-alertmanager")
    (tmp_path / "am.yml").write_text(
        "route: {receiver: page, group_by: [incident], group_wait: 0s}\nreceivers: [{name: page}]\n"
    )
    port = free_port()
    command = [path, "--config.file=am.yml", "--storage.path=data", "--cluster.listen-address="]
    with (tmp_path / "log").open("wb") as log:
        process: subprocess.Popen[bytes] = spawn(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], log=log, cwd=tmp_path
        )
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)


async def _groups(http: httpx.AsyncClient, url: str) -> dict[str, set[str]]:
    """Names of the active alerts by incident, as Alertmanager groups them."""
    try:
        answer = await http.get(f"{url}/api/v2/alerts/groups", params={"active": "true"})
    except httpx.ConnectError:
        return {}
    return {
        group["labels"]["incident"]: {alert["labels"]["name"] for alert in group["alerts"]}
        for group in answer.json()
    }


def _asking(http: httpx.AsyncClient, url: str) -> Callable[[], Awaitable[dict[str, set[str]]]]:
    async def ask() -> dict[str, set[str]]:
        return await _groups(http, url)

    return ask


async def test_alertmanager_groups_resolves_and_lets_expire(alertmanager: str) -> None:
    config = _config("alertmanager", alertmanager, resend_s=1.0, expire_s=3.0)
    part = AlertPartition(0, config)
    racks = {"a": "r7", "b": "r7", "c": "r8", "quiet": "r7"}
    process(part, *(change("firing", 0, name, labels={"rack": rack}) for name, rack in racks.items()))
    async with httpx.AsyncClient() as http:
        ask = _asking(http, alertmanager)

        async def ready() -> bool:
            try:
                return (await http.get(f"{alertmanager}/-/ready")).is_success
            except httpx.ConnectError:
                return False

        await until(ready, bool, what="Alertmanager is ready")
        assert await _tell(part, config, http, wall_clock()) == 3
        groups = await until(ask, lambda found: len(found) == 2, what="two groups")
        assert sorted(map(sorted, groups.values())) == [["a", "b"], ["c"]]
        # One resolves: it goes at once, long before it would expire.
        process(part, change("resolved", 5, "c", since=0, labels={"rack": "r8"}))
        assert await _tell(part, config, http, wall_clock()) == 3
        groups = await until(ask, lambda found: len(found) == 1, what="one group is left", patience_s=2.9)
        assert sorted(next(iter(groups.values()))) == ["a", "b"]
        # It is told again before it expires, and what is no longer told expires.
        (receiver,) = receivers(config, {}, http)
        now = wall_clock()
        due: Any = receiver.due(part, now)
        await receiver.tell(part, due, now)
        assert receiver.due(part, now + 999) == []
        assert len(receiver.due(part, now + 1_000)) == 2
        await until(ask, lambda found: not found, what="what is not told again expires", patience_s=30.0)


async def test_a_silence_of_ours_ends_the_alert_there(alertmanager: str) -> None:
    config = _config("alertmanager", alertmanager, resend_s=60.0, expire_s=240.0)
    part = AlertPartition(0, config)
    process(part, change("firing", 0, labels={"rack": "r7"}))
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=20)) as http:
        await _tell(part, config, http, wall_clock())
        await until(_asking(http, alertmanager), bool, what="it is told")
        process(part, silence(1, 0, 60, "rack=r7"), now=1)
        assert await _tell(part, config, http, wall_clock()) == 1
        await until(_asking(http, alertmanager), lambda found: not found, what="it is held back there too")
        assert await _tell(part, config, http, wall_clock()) == 0


async def test_check_asks_alertmanager(alertmanager: str, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(
        f'[alerts.receivers.up]\nkind = "alertmanager"\nurl = "{alertmanager}"\n'
        '[alerts.receivers.down]\nkind = "alertmanager"\nurl = "http://127.0.0.1:1"\n'
        '[alerts.receivers.unset]\nkind = "webhook"\nurl_env = "PAGER_URL"\n'
    )

    async def ask() -> dict[str, bool]:
        found = await examine(tmp_path / "t.toml", {})
        return {each.what: each.good for each in found if each.what.startswith("receiver")}

    asked = await until(ask, lambda found: found["receiver up"], what="Alertmanager answers")
    assert asked == {"receiver up": True, "receiver down": False, "receiver unset": False}


# -- webhook ----------------------------------------------------------------------------------------


class Hook:
    """A webhook that answers with `status`; `keys` counts what it was asked, `incidents` has what it took."""

    def __init__(self) -> None:
        self.status = 200
        self.url = ""
        self.keys: Counter[str] = Counter()
        self.incidents: list[Incident] = []

    async def handle(self, request: web.Request) -> web.Response:
        """Answer."""
        self.keys[request.headers["Idempotency-Key"]] += 1
        if self.status == 200:
            self.incidents.append(decode(await request.read(), Incident))
        return web.Response(status=self.status)


@asynccontextmanager
async def hooked() -> AsyncIterator[Hook]:
    hook = Hook()
    async with serving(hook.handle, path="/page") as url:
        hook.url = f"{url}/page"
        yield hook


async def test_four_hundred_series_are_one_page_and_one_all_clear() -> None:
    async with hooked() as hook, httpx.AsyncClient() as http:
        config = _config("webhook", hook.url, wait_s=5.0)
        part = AlertPartition(0, config)
        names = [f"host{number:03}" for number in range(400)]
        for first in range(0, 400, 7):  # in many batches, a second apart
            process(
                part,
                *(
                    change("firing", first / 100, name, labels={"rack": "r7"})
                    for name in names[first : first + 7]
                ),
            )
            await _tell(part, config, http, START + first * 10)
        assert await _tell(part, config, http, START + 5_000) == 1
        for name in names:
            process(part, change("resolved", 30, name, since=0, labels={"rack": "r7"}))
            await _tell(part, config, http, START + 30 * MINUTE)
        assert [(page.state, page.series, page.firing) for page in hook.incidents] == [
            ("firing", 400, 400),
            ("resolved", 400, 0),
        ]
        assert set(hook.keys.values()) == {1}


async def test_a_webhook_that_fails_is_told_again_under_the_same_key_also_by_the_next_owner() -> None:
    async with hooked() as hook, httpx.AsyncClient() as http:
        config = _config("webhook", hook.url, wait_s=0.0)
        part = AlertPartition(0, config)
        process(part, change("firing", 0, labels={"rack": "r7"}))
        for hook.status in (503, 429):
            with pytest.raises(httpx.HTTPStatusError):
                await _tell(part, config, http, START)
        successor = AlertPartition(0, config)
        successor.restore(
            {key: block for key, block in part.snapshot() if block is not None}, lambda key: None
        )
        hook.status = 200
        assert await _tell(successor, config, http, START) == 1
        assert await _tell(successor, config, http, START) == 0
        assert list(hook.keys.values()) == [3]
        # What it was told is state: its successor does not tell again.
        third = AlertPartition(0, config)
        third.restore(
            {key: block for key, block in successor.snapshot() if block is not None}, lambda key: None
        )
        assert await _tell(third, config, http, START) == 0


async def test_a_refusal_is_not_repeated() -> None:
    async with hooked() as hook, httpx.AsyncClient() as http:
        config = _config("webhook", hook.url, wait_s=0.0)
        part = AlertPartition(0, config)
        process(part, change("firing", 0, labels={"rack": "r7"}))
        hook.status = 400
        assert [await _tell(part, config, http, START) for _ in range(2)] == [1, 0]


async def test_what_is_silenced_is_told_when_the_silence_ends() -> None:
    async with hooked() as hook, httpx.AsyncClient() as http:
        config = _config("webhook", hook.url, wait_s=0.0)
        part = AlertPartition(0, config)
        process(part, silence(1, 0, 60, "rack=r7"), change("firing", 1, labels={"rack": "r7"}))
        assert await _tell(part, config, http, START + 10 * MINUTE) == 0
        part.tick(START + 61 * MINUTE)
        assert await _tell(part, config, http, START + 61 * MINUTE) == 1
        assert len(hook.incidents) == 1


async def test_a_webhook_that_hangs_is_given_up() -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    async with serving(hang, path="/page") as url, httpx.AsyncClient() as http:
        config = _config("webhook", f"{url}/page", wait_s=0.0, timeout_s=0.1)
        part = AlertPartition(0, config)
        process(part, change("firing", 0, labels={"rack": "r7"}))
        with pytest.raises(httpx.TimeoutException):
            await _tell(part, config, http, START)
