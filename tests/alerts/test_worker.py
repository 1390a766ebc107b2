"""Alerts through the real worker: silence, silences, incidents, over kills and restarts."""

from collections.abc import Callable

import pytest

from schemas import Alert, Incident, Silence
from streams.worker import wall_clock
from tests.alerts.flow import STEP_MS, event, metrics, newest, shifted, steady, told, wait_for
from tests.integration.harness import Setting, WorkerProcess, caught_up, tidegate

pytestmark = [pytest.mark.kafka, pytest.mark.redis]

NewSetting = Callable[..., Setting]
NewWorker = Callable[..., WorkerProcess]


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


async def test_a_silence_that_cannot_be_understood_is_a_dead_letter(
    setting: NewSetting, worker: NewWorker
) -> None:
    made = setting()
    process = worker(made)
    await process.ready()
    await event(made, "s1", Silence(id="s1", matchers=['zone=~"("'], starts_at=0, ends_at=1))
    await caught_up(made, "events", alive=[process])
