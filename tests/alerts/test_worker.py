"""Alerts through the real worker: silence, silences, incidents, over kills and restarts."""

import asyncio
import re
import shlex
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from typer.testing import CliRunner

from schemas import Alert, Incident
from streams.cli import app
from streams.worker import wall_clock
from tests.alerts.flow import STEP_MS, metrics, newest, shifted, steady, told, wait_for
from tests.integration.harness import ROOT, Setting, WorkerProcess, caught_up, until

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

NewSetting = Callable[..., Setting]
NewWorker = Callable[..., WorkerProcess]


async def tidegate(*arguments: str) -> tuple[int, str]:
    """Run the command line in this process; return its exit code and what it printed."""
    done = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    return done.exit_code, done.output


def minutes_ago(count: int) -> int:
    return wall_clock() // STEP_MS * STEP_MS - count * STEP_MS


async def test_a_series_that_falls_silent_is_told_of_also_when_everything_is_silent(
    setting: NewSetting, worker: NewWorker
) -> None:
    made = setting("[alerts]\nno_data_s = 240\n")
    first = worker(made)
    await first.says("created topics")
    start = minutes_ago(40)
    # `b` stops 20 minutes ago while `a` goes on; then everything stops, 5 minutes ago.
    await metrics(made, [*steady("a", start, 35), *steady("b", start, 20)])
    silent = await wait_for(made, Alert, lambda alert: alert.state == "firing", "both are missed", count=2)
    assert {alert.kind for alert in silent} == {"no-data"}
    assert {a.series: (a.changed_at - start) // STEP_MS for a in silent} == {"a": 34 + 4, "b": 19 + 4}
    first.kill()
    second = worker(made)
    await second.ready()
    await metrics(made, steady("b", wall_clock(), 1))
    (back,) = await wait_for(made, Alert, lambda alert: alert.state == "resolved", "one is back")
    assert back.series == "b"
    of_a = [alert for alert in await told(made, Alert) if alert.series == "a"]
    assert {(alert.state, alert.changed_at) for alert in of_a} == {("firing", start + 38 * STEP_MS)}


async def test_a_silence_holds_back_what_it_matches_and_is_remembered(
    setting: NewSetting, worker: NewWorker
) -> None:
    made = setting("[detector]\nmodel = 'ewma-z'\n[alerts]\nresolve_after_s = 600\n")
    first = worker(made)
    await first.ready()
    start = minutes_ago(120)
    code, said = await tidegate(
        "silence", "add", 'zone="a"', "--for", "2h", "--reason", "works on the roof", "-c", str(made.path)
    )
    assert code == 0, said
    identity = said.split()[0]
    await caught_up(made, "events", "alert-control", alive=[first])
    first.kill()
    await worker(made).ready()
    minutes, end = 110, start + 110 * STEP_MS
    series = [
        [*steady("m", start, minutes, zone=zone), *shifted("m", end, 5, 60, zone=zone)] for zone in "ab"
    ]
    await metrics(made, [each for pair in zip(*series, strict=True) for each in pair])
    # Nothing says that the silence came before: what fired before it began is held back from then on.
    (a,) = await wait_for(made, Alert, lambda alert: alert.suppressed == "silence", "one is held back")
    (b,) = await wait_for(made, Alert, lambda alert: alert.suppressed is None, "one is not")
    assert [(each.state, each.labels["zone"]) for each in (a, b)] == [("firing", "a"), ("firing", "b")]
    assert {i.suppressed for i in (await newest(made, Incident)).values()} == {"silence", None}
    code, listed = await tidegate("silence", "list", "-c", str(made.path))
    assert identity in listed
    assert "works on the roof" in listed
    code, said = await tidegate("silence", "expire", identity, "-c", str(made.path))
    assert code == 0, said
    await wait_for(made, Alert, lambda alert: alert.suppressed is None, "nothing is held back", count=2)
    assert not any(each.suppressed for each in (await newest(made, Incident)).values())


async def test_a_rack_of_four_hundred_series_is_one_incident(setting: NewSetting, worker: NewWorker) -> None:
    made = setting("[detector]\nmodel = 'ewma-z'\n[alerts.incidents]\ngroup_by = ['rack']\n")
    await worker(made).says("created topics")
    start = minutes_ago(60)
    hosts = [(f"host{n:03}", "r7") for n in range(400)] + [("other", "r8")]
    ticks = []
    for minute in range(40):
        at = start + minute * STEP_MS
        for host, rack in hosts:
            level = 0.0 if minute >= 35 and rack == "r7" else 100.0 + minute * 7 % 5
            ticks += [{"metric": "up", "labels": {"host": host, "rack": rack}, "ts": at, "value": level}]
    await metrics(made, ticks)
    (incident,) = await wait_for(made, Incident, lambda i: i.firing == 400, "the rack is one incident")
    assert (incident.group, incident.series) == ({"rack": "r7"}, 400)
    alerts = (await newest(made, Alert)).values()
    assert len(alerts) == 400
    assert {alert.incident for alert in alerts} == {incident.fingerprint}
    assert list(await newest(made, Incident)) == [incident.fingerprint]


async def test_feedback_moves_a_threshold_and_is_remembered_after_a_kill(
    setting: NewSetting, worker: NewWorker
) -> None:
    made = setting("[detector]\nmodel = 'ewma-z'\n")
    first = worker(made)
    await first.ready()
    start = minutes_ago(120)
    await metrics(made, [*steady("m", start, 100), *shifted("m", start + 100 * STEP_MS, 1, 20)])
    (alert,) = await wait_for(made, Alert, lambda alert: alert.state == "firing", "it fires")
    for _ in range(2):  # said twice, heard once
        at = str(alert.started_at)
        code, said = await tidegate("feedback", "m", "false-alarm", "--at", at, "-c", str(made.path))
        assert code == 0, said
    await caught_up(made, "events", "detect-control", alive=[first])
    first.kill()
    second = worker(made)
    await second.ready()
    seen = await until(
        lambda: _state(second), lambda state: state["feedback"], what="the console tells what was said"
    )
    (heard,) = seen["feedback"]
    assert (heard["series"], heard["verdict"], heard["below"]) == ("m", "false-alarm", 1.0)
    assert heard["above"] > 1.0
    # From the page of the restarted worker: it was real after all.
    async with aiohttp.ClientSession() as session:
        word = {"series": "m", "ts": alert.started_at, "verdict": "real"}
        url = _url(second)
        async with session.post(f"{url}/api/feedback", json=word, headers={"Origin": url}) as answer:
            assert answer.status == 200, await answer.text()
    seen = await until(
        lambda: _state(second), lambda state: len(state["feedback"]) == 2, what="and of the second word"
    )
    assert seen["feedback"][-1]["above"] == 1.0


def _url(process: WorkerProcess) -> str:
    found = re.findall(r"console and metrics at (http://\S+?)/\s", process.text)
    return str(found[-1])


async def _state(process: WorkerProcess) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(f"{_url(process)}/api/state") as answer:
        state: dict[str, Any] = await answer.json()
        return state


async def test_the_how_to_runs_as_it_stands(
    setting: NewSetting, worker: NewWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()
    tables = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    first = tables[0].replace("[alerts]\n", "[alerts]\nno_data_s = 300\n")
    incidents_and_receivers = "".join(tables[2:])
    monkeypatch.setenv("PAGER_URL", "http://127.0.0.1:1/")
    made = setting(first + incidents_and_receivers)
    process = worker(made)
    await process.ready()
    ran, identity = [], ""
    for block in re.findall(r"^```sh norun\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            words = shlex.split(line.replace("tidegate.toml", str(made.path)))
            words = [identity if word == "5f2c9a01b7d3" else word for word in words]
            code, said = await tidegate(*words[1:])
            assert code == 0, f"{line}: {said}"
            ran.append(words[1])
            if words[1:3] == ["silence", "add"]:
                identity = said.split()[0]
                await caught_up(made, "events", "alert-control", alive=[process])
                await until(lambda: _listed(made), lambda out, id_=identity: id_ in out, what="it is listed")
    assert ran == ["silence"] * 3 + ["feedback"] * 3
    await caught_up(made, "events", "detect-control", alive=[process])


async def _listed(made: Setting) -> str:
    _, said = await tidegate("silence", "list", "-c", str(made.path))
    return said
