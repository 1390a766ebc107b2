"""What a target is scaled on, by its configuration: loads, backlog, saturation, known events."""

import numpy as np
import pytest

from schemas import Command, KnownEvent, Scale, Signal, decode
from streams.config import TargetConfig
from streams.config.read import ConfigError, parse
from streams.planning import PlanPartition
from streams.target_loads import LoadsState, TargetLoads
from streams.targets import Roles
from tests.streams.records import MINUTE, START, message

TOML = """
[[targets]]
name = "checkout"
load = "rps"
replicas = "replicas"
backlog = "queue_length"
saturation = "cpu"
loads.orders = { metric = "orders", capacity = 2.0 }
scale = { capacity = 10.0, drain_s = 100.0 }
"""


def _config(text: str = TOML) -> TargetConfig:
    (target,) = parse(text).targets
    return target


def _follow(loads: TargetLoads, minutes: range, rps: float, orders: float) -> int:
    replicas = -1
    for minute in minutes:
        ts = START + minute * MINUTE
        samples = (("load", "rps{}", rps), ("load:orders", "orders{}", orders))
        for role, series, value in samples:
            for made in loads.take(role, series, ts, value):
                if made.decision is not None:
                    replicas = loads.state.replicas = made.decision.replicas
    return replicas


def test_metrics_have_the_roles_that_the_configuration_gives_them() -> None:
    roles = Roles([_config()])
    named = {m: roles.role(roles.of(m, {})[1]) for m in ("rps", "orders", "replicas", "queue_length", "cpu")}
    assert named == {
        "rps": "load",
        "orders": "load:orders",
        "replicas": "replicas",
        "queue_length": "backlog",
        "cpu": "saturation",
    }


def test_the_largest_need_of_several_loads_wins_and_a_restart_keeps_it() -> None:
    loads = TargetLoads(_config(), LoadsState())
    assert 10 <= _follow(loads, range(30), rps=100.0, orders=2.0) <= 15
    assert 20 <= _follow(loads, range(30, 60), rps=100.0, orders=40.0) <= 60
    again = TargetLoads(_config(), loads.dump())
    assert _follow(again, range(60, 61), 100.0, 40.0) >= 20
    assert _follow(again, range(61, 120), rps=100.0, orders=2.0) <= 15


def test_a_decision_says_which_load_it_is_for() -> None:
    loads = TargetLoads(_config(), LoadsState())
    _follow(loads, range(30), rps=100.0, orders=40.0)
    (last,) = loads.take("load", "rps{}", START + 30 * MINUTE, 100.0)
    assert last.decision is not None
    assert last.decision.reasons[0].startswith("largest need is that of load:orders (load 1")
    assert last.decision.ts == last.ts == START + 30 * MINUTE


def test_a_backlog_adds_to_the_first_load_while_it_is_fresh() -> None:
    text = TOML.replace('loads.orders = { metric = "orders", capacity = 2.0 }\n', "")
    loads = TargetLoads(_config(text), LoadsState())
    calm = _follow(loads, range(20), rps=100.0, orders=0.0)
    for series in ("a", "b"):
        loads.take("backlog", series, START + 19 * MINUTE, 10_000.0)
    assert _follow(loads, range(20, 21), 100.0, 0.0) >= calm + 20  # 20 000 in 100 s are 20 replicas' worth
    assert _follow(loads, range(21, 50), 100.0, 0.0) <= calm + 2


def test_a_known_event_on_the_stream_is_met_ahead() -> None:
    config = _config('[[targets]]\nname = "checkout"\nload = "rps"\nscale = { capacity = 10.0 }\n')
    partition = PlanPartition(0, {"checkout": config})
    sale = START + 300 * MINUTE
    event = KnownEvent(target="checkout", id="sale", starts_at=sale, ends_at=sale + 60 * MINUTE, factor=3.0)
    assert partition.process([message("events", 0, event)], START) == []
    rng = np.random.default_rng(2)
    counts: dict[int, int] = {}
    for minute in range(300):
        body = _signal(minute, 100.0 + rng.standard_normal())
        for out in partition.process([message("signals", minute, body)], START):
            command = decode(out.value, Command) if out.topic == "commands" else None
            if command is not None and isinstance(command.action, Scale):
                counts[command.issued_at] = command.action.replicas
    times = np.array(list(counts))
    assert max(counts[ts] for ts in times[times < sale - 10 * MINUTE]) <= 20
    assert counts[max(times)] >= 30


def test_a_metric_with_two_roles_is_refused() -> None:
    with pytest.raises(ConfigError, match="`rps` is named twice"):
        parse(TOML.replace('backlog = "queue_length"', 'backlog = "rps"'))


def _signal(minute: int, value: float) -> Signal:
    return Signal(
        target="checkout",
        series="rps{}",
        role="load",
        arm=None,
        times=[START + minute * MINUTE],
        values=[value],
        source=0,
    )
