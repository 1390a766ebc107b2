"""Alerts join into incidents; their causes are ranked; order and replays do not matter."""

import random

import pytest

from schemas import MaintenanceWindow
from schemas.control import Control
from streams.alerting import AlertPartition
from streams.config import AlertConfig, IncidentConfig, Route
from streams.rules import Grouping
from tests.alerts.partition import alerts, change, incidents, partition, process, silence
from tests.streams.records import START, message

MINUTE = 60_000
SHOP = {"checkout": ("cart", "payments"), "cart": ("db",), "payments": ("db",)}


def test_alerts_of_a_group_within_the_window_are_one_incident() -> None:
    part = partition(group_by=("rack",))
    first = incidents(process(part, change("firing", 0, "a", labels={"rack": "r7"})))
    more = incidents(
        process(
            part,
            change("firing", 9, "b", labels={"rack": "r7"}),
            change("firing", 9, "c", labels={"rack": "r8"}),
        )
    )
    assert [i.series for i in first] == [1]
    assert {tuple(i.group.values()): i.series for i in more} == {("r7",): 2, ("r8",): 1}
    late = incidents(process(part, change("firing", 30, "d", labels={"rack": "r7"})))
    assert [(i.series, i.fingerprint == first[0].fingerprint) for i in late] == [(1, False)]


def test_it_resolves_with_its_last_alert_and_opens_again_within_the_window() -> None:
    part = partition(group_by=("rack",))
    rack = {"labels": {"rack": "r7"}}
    process(part, change("firing", 0, "a", **rack), change("firing", 1, "b", **rack))
    half = incidents(process(part, change("resolved", 5, "a", since=0, **rack)))
    assert [(i.state, i.firing, i.series) for i in half] == [("firing", 1, 2)]
    over = incidents(process(part, change("resolved", 6, "b", since=1, **rack)))
    assert [(i.state, i.resolved_at) for i in over] == [("resolved", START + 6 * MINUTE)]
    again = incidents(process(part, change("firing", 10, "a", **rack)))
    assert [(i.state, i.fingerprint) for i in again] == [("firing", over[0].fingerprint)]


def test_a_replay_is_told_once() -> None:
    part = partition()
    told = [change("firing", 0), change("resolved", 5, since=0)]
    assert len(alerts(process(part, *told))) == 2
    assert process(part, *told) == []


def test_a_pending_alert_is_no_incident() -> None:
    part = partition()
    outputs = process(part, change("pending", 0), change("resolved", 3, since=0))
    assert [alert.state for alert in alerts(outputs)] == ["pending", "resolved"]
    assert incidents(outputs) == []


def test_what_lies_upstream_is_the_likeliest_cause_then_what_was_first_then_strongest() -> None:
    part = partition(depends_on=SHOP)
    told = [
        change("firing", 0.0, "x", labels={"service": "checkout"}, strength=9.0),
        change("firing", 1.0, "y", labels={"service": "cart"}, strength=2.0),
        change("firing", 2.0, "z", labels={"service": "db"}, strength=1.5),
        change("firing", 2.1, "w", labels={"service": "db"}, strength=4.0),
    ]
    (incident,) = incidents(process(part, *told))
    assert [cause.node for cause in incident.causes] == ["db", "db", "checkout", "cart"]
    assert [cause.strength for cause in incident.causes[:2]] == [4.0, 1.5]
    assert incident.causes[0].reasons == [
        "upstream of cart, checkout",
        "began 126 s after the first",
        "4 times its threshold",
    ]
    assert "strongest: 9 times its threshold" in incident.causes[2].reasons


def test_without_a_topology_the_first_is_the_likeliest_cause() -> None:
    part = partition(group_by=("rack",))
    told = [
        change("firing", minute, name, labels={"rack": "r7"}, strength=strength)
        for name, minute, strength in (("a", 5, 9.0), ("b", 0, 1.1), ("c", 0.5, 3.0))
    ]
    (incident,) = incidents(process(part, *told))
    assert [cause.series for cause in incident.causes] == ['m{name="c"}', 'm{name="b"}', 'm{name="a"}']


def test_the_order_of_changes_within_the_window_does_not_matter_in_the_end() -> None:
    rack = {"labels": {"rack": "r7"}}
    told = [
        change(state, minute, name, since=since, **rack)
        for name, since in (("a", 0), ("b", 2), ("c", 4))
        for state, minute in (("firing", since), ("resolved", since + 5))
    ]
    ends = set()
    for seed in range(20):
        order = told.copy()
        random.Random(seed).shuffle(order)
        order.sort(key=lambda alert: alert.state)  # of each alert the firing comes first
        part = partition(group_by=("rack",))
        ends.add(str(incidents([out for each in order for out in process(part, each)])[-1]))
    assert len(ends) == 1


def test_a_silence_that_comes_late_holds_back_what_it_should_have() -> None:
    early, late = partition(), partition()
    held = silence(1, 0, 60, 'name="a"')
    told = [change("firing", 1), change("resolved", 5, since=1)]
    first = process(early, held, *told)
    then = process(late, *told, held, now=70)
    for outputs in (first, then):
        assert alerts(outputs)[-1].suppressed == "silence"
        assert incidents(outputs)[-1].suppressed == "silence"


def test_a_silence_begins_and_ends_with_time_and_is_taken_once() -> None:
    part = partition()
    held = silence(4, 10, 20)
    process(part, change("firing", 0), held)
    assert part.tick(START + 9 * MINUTE) == []
    assert [a.suppressed for a in alerts(part.tick(START + 10 * MINUTE))] == ["silence"]
    assert [a.suppressed for a in alerts(part.tick(START + 20 * MINUTE))] == [None]
    expired = silence(5, 10, 11)
    process(part, expired, held, now=12)  # the older one once more, by a replay
    assert part.suppression.held.silences["s1"].ends_at == START + 11 * MINUTE


@pytest.mark.parametrize(
    ("target", "az", "held"), [("shop", "b", True), ("shop", "c", False), ("x", "b", False)]
)
def test_a_maintenance_window_suppresses_its_target_and_labels(target: str, az: str, held: bool) -> None:
    window = MaintenanceWindow(
        id="w", starts_at=START, ends_at=START + MINUTE, target="shop", matchers={"az": "b"}
    )
    part = partition()
    process(part, Control(partition=0, offset=0, event=window))
    (alert,) = alerts(process(part, change("firing", 0, labels={"az": az}, target=target)))
    assert alert.suppressed == ("maintenance" if held else None)


def test_flapping_stays_where_no_silence_takes_over() -> None:
    part = partition()
    (alert,) = alerts(process(part, change("firing", 0, suppressed="flapping")))
    assert alert.suppressed == "flapping"


def test_state_is_restored_as_it_was() -> None:
    part = partition(group_by=("rack",))
    process(part, silence(1, 0, 60, "name=b"), change("firing", 0, "a", labels={"rack": "r7"}))
    successor = partition(group_by=("rack",))
    successor.restore({key: data for key, data in part.snapshot() if data is not None}, lambda key: None)
    later = [
        change("firing", 1, "b", labels={"rack": "r7"}),
        change("resolved", 5, "a", labels={"rack": "r7"}),
    ]
    assert process(successor, *later) == process(part, *later)
    assert part.snapshot() == successor.snapshot()


def test_routes_decide_what_is_on_the_topic() -> None:
    config = AlertConfig(routes=(Route(matchers=("name=a",), receivers=()), Route()))
    part = AlertPartition(0, config)
    outputs = process(part, change("firing", 0, "a"), change("firing", 0, "b"))
    assert [alert.labels["name"] for alert in alerts(outputs)] == ["b"]
    assert len(incidents(outputs)) == 1


def test_what_is_no_change_is_a_dead_letter() -> None:
    part = partition()
    outputs = part.process([message("changes", 3, silence(1, 0, 1, "name=~("))], START)
    assert [out.topic for out in outputs] == ["dead-letters"]


def test_what_depends_on_each_other_is_one_group() -> None:
    grouping = Grouping(IncidentConfig(depends_on=SHOP | {"mail": ("smtp",)}))
    keys = {
        node: grouping.of({"service": node}, None, "m").key
        for node in ("checkout", "db", "cart", "smtp", "x")
    }
    assert keys["checkout"] == keys["db"] == keys["cart"] != keys["smtp"]
    assert grouping.of({}, "billing", "m").labels == {"target": "billing"}
    assert grouping.of({}, None, "m").labels == {"series": "m"}
    assert grouping.upstream("checkout") == {"cart", "payments", "db"}


def test_over_incidents_are_forgotten() -> None:
    part = partition()
    process(part, change("firing", 0), change("resolved", 5, since=0))
    part.tick(START + 10 * MINUTE)
    assert len(list(part.cases())) == 1
    part.tick(START + 3_000 * MINUTE)
    assert list(part.cases()) == []
    assert part.groups == {}
