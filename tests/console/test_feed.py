from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import Rollback
from streams.console import Feed, Part, Subscription
from streams.output import Output
from tests.console.messages import T0, alert, anomaly, dead, forecast, outcome, scale

MINUTE = 60_000


def test_a_forecast_is_a_point_of_load_and_a_band_ahead() -> None:
    feed = Feed()
    feed.outputs("plan", [forecast()])
    seen = feed.snapshot()
    assert seen.target == "checkout"
    assert seen.load == [(T0, 40.0)]
    assert seen.band == [(T0 + 120_000, 34.0, 42.0, 55.0)]
    assert seen.ahead == [(T0 + 60_000, 35.0, 41.0, 50.0), (T0 + 120_000, 34.0, 42.0, 55.0)]
    now = seen.targets["checkout"]
    assert (now.load, now.levels, now.horizon_ms, now.skill) == (40.0, (0.1, 0.99), 120_000, 0.2)


def test_the_band_is_of_ten_minutes_before_and_what_is_ahead_of_all_horizons() -> None:
    feed = Feed()
    horizons = [60_000, 600_000, 86_400_000]
    values = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]
    feed.outputs("plan", [forecast(horizons_ms=horizons, values=values)])
    seen = feed.snapshot()
    assert seen.band == [(T0 + 600_000, 4.0, 5.0, 6.0)]
    assert [point[0] - T0 for point in seen.ahead] == horizons
    assert seen.targets["checkout"].horizon_ms == 600_000


def test_a_forecast_without_horizons_is_load_only() -> None:
    feed = Feed()
    feed.outputs("plan", [forecast(horizons_ms=[], values=[])])
    assert feed.snapshot().load == [(T0, 40.0)]
    assert feed.snapshot().band == []


def test_desired_replicas_begin_with_what_was_there_before() -> None:
    feed = Feed()
    feed.outputs("plan", [scale(7, previous=5)])
    feed.outputs("plan", [scale(4, previous=7, issued_at=T0 + MINUTE)])
    assert feed.snapshot().desired == [(T0 - 1, 5), (T0, 7), (T0 + MINUTE, 4)]
    assert feed.snapshot().targets["checkout"].desired == 4


def test_a_rollback_is_no_point_of_replicas() -> None:
    feed = Feed()
    feed.outputs("plan", [scale(action=Rollback(release="v2", to="v1"))])
    assert feed.snapshot().desired == []
    assert [c.kind for c in feed.snapshot().commands] == ["rollback"]


def test_the_service_tells_ready_and_paid() -> None:
    feed = Feed()
    feed.service("checkout", T0, 30.0, 3, 5)
    feed.service("checkout", T0, 31.0, 9, 9)  # not newer: a replay
    assert feed.snapshot().service == [(T0, 30.0, 3, 5)]
    now = feed.snapshot().targets["checkout"]
    assert (now.load, now.ready, now.paid) == (30.0, 3, 5)


def test_a_repeated_outcome_does_not_hide_what_the_command_came_to() -> None:
    feed = Feed()
    feed.outputs("act", [outcome(), outcome(status="duplicate")])
    assert [o.status for o in feed.snapshot().outcomes] == ["executed"]
    assert feed.snapshot().counts["outcomes"] == 2


def test_an_alert_is_shown_as_it_stands_last() -> None:
    feed = Feed()
    resolved = alert(state="resolved", changed_at=T0 + MINUTE, resolved_at=T0 + MINUTE)
    feed.outputs("detect", [alert(), resolved, alert()])  # the last is a replay of the first
    assert [a.state for a in feed.snapshot().alerts] == ["resolved"]


def test_alerts_that_still_fire_outlive_resolved_ones() -> None:
    feed = Feed(recent=3)
    feed.outputs("detect", [alert(fingerprint="old", state="firing")])
    for i in range(10):
        feed.outputs("detect", [alert(fingerprint=f"f{i}", state="resolved", changed_at=T0 + i)])
    assert [a.fingerprint for a in feed.snapshot().alerts] == ["old", "f8", "f9"]


def test_of_a_flood_only_the_newest_are_kept_and_all_are_counted() -> None:
    feed = Feed(recent=5)
    feed.outputs("detect", [anomaly(id=f"a{i}") for i in range(1_000)])
    feed.outputs("detect", [dead(offset=i) for i in range(20)])
    seen = feed.snapshot()
    assert [a.id for a in seen.anomalies] == ["a995", "a996", "a997", "a998", "a999"]
    assert [letter.offset for letter in seen.dead_letters] == [15, 16, 17, 18, 19]
    assert seen.counts == {"anomalies": 1_000, "dead-letters": 20}


def test_many_targets_share_the_memory_of_few() -> None:
    feed = Feed(points=8, total=32)
    for minute in range(8):
        for number in range(10):
            feed.outputs("plan", [forecast(target=f"t{number}", ts=T0 + minute * MINUTE)])
    kept = [feed.snapshot(f"t{number}").load for number in range(10)]
    assert sum(len(points) for points in kept) <= 32
    assert all(points[-1][0] == T0 + 7 * MINUTE for points in kept)


def test_marks_of_a_target_outlive_a_flood_elsewhere() -> None:
    feed = Feed(recent=5)
    feed.outputs("detect", [anomaly(id="mine")])
    feed.outputs("detect", [anomaly(id=f"a{i}", target=None) for i in range(50)])
    assert "mine" in [a.id for a in feed.snapshot("checkout").anomalies]


def test_an_unreadable_message_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    feed = Feed()
    broken = Output("commands", b"checkout", b'{"schema":"command/9"}')
    feed.outputs("plan", [broken, broken, scale()])
    assert len(feed.snapshot().commands) == 1
    assert len(caplog.records) == 1
    assert "commands" in caplog.text


async def test_a_watcher_gets_what_is_new_of_its_target() -> None:
    feed = Feed()
    feed.outputs("plan", [forecast()])
    watcher = feed.subscribe("checkout")
    feed.outputs("plan", [forecast(ts=T0 + MINUTE), forecast(target="search")])
    feed.release("checkout", T0, "v2")
    part = await watcher.next()
    assert part is not None
    assert [ts for ts, _ in part.load] == [T0 + MINUTE]
    assert set(part.targets) == {"checkout", "search"}
    assert [r.release for r in part.releases] == ["v2"]
    assert part.counts == {"forecasts": 3}


async def test_a_watcher_without_a_target_takes_the_first_there_is() -> None:
    feed = Feed()
    watcher = feed.subscribe()
    feed.service("checkout", T0, 1.0, 1, 1)
    feed.service("search", T0, 2.0, 2, 2)
    part = await watcher.next()
    assert part is not None
    assert (part.target, part.service) == ("checkout", [(T0, 1.0, 1, 1)])


async def test_a_watcher_that_does_not_keep_up_is_dropped_and_the_others_go_on() -> None:
    feed = Feed(backlog=10)
    slow, quick = feed.subscribe(), feed.subscribe()
    received = 0
    for i in range(30):
        feed.outputs("detect", [anomaly(id=f"a{i}")])
        part = await quick.next()
        assert part is not None
        received += len(part.anomalies)
    assert received == 30
    assert not slow.open
    assert await slow.next() is None


messages = st.lists(
    st.one_of(
        st.builds(lambda i: forecast(ts=T0 + i * MINUTE), st.integers(0, 20)),
        st.builds(lambda i, n: scale(n, issued_at=T0 + i * MINUTE), st.integers(0, 20), st.integers(0, 9)),
        st.builds(lambda i: anomaly(id=f"a{i}", ts=T0 + i), st.integers(0, 20)),
        st.builds(
            lambda i, state: alert(fingerprint=f"f{i % 4}", state=state, changed_at=T0 + i),
            st.integers(0, 20),
            st.sampled_from(["pending", "firing", "resolved"]),
        ),
        st.builds(lambda i: outcome(command=f"c{i}"), st.integers(0, 20)),
        st.builds(lambda i: dead(offset=i), st.integers(0, 20)),
    ),
    max_size=60,
)


@given(messages)
def test_history_is_bounded_and_in_order(outputs: Sequence[Output]) -> None:
    feed = Feed(points=5, recent=4)
    for item in outputs:
        feed.outputs("any", [item])
    seen = feed.snapshot()
    for points in (seen.load, seen.band, seen.desired):
        times = [point[0] for point in points]
        assert times == sorted(set(times))
        assert len(times) <= 5
    assert len(seen.alerts) <= 4
    assert len(seen.dead_letters) <= 4
    assert len(seen.anomalies) <= 8  # of all, and of the target
    assert len(seen.commands) <= 8
    assert len(seen.outcomes) <= 8


@given(messages)
def test_what_a_watcher_was_told_adds_up_to_the_snapshot(outputs: Sequence[Output]) -> None:
    feed = Feed()
    watcher = feed.subscribe("checkout")
    for item in outputs:
        feed.outputs("any", [item])
    told, seen = _pending(watcher), feed.snapshot("checkout")
    assert (told.load, told.band, told.desired) == (seen.load, seen.band, seen.desired)
    assert {a.fingerprint: a for a in told.alerts} == {a.fingerprint: a for a in seen.alerts}
    assert told.anomalies == seen.anomalies
    assert told.commands == seen.commands
    assert told.counts == seen.counts


def _pending(watcher: Subscription) -> Part:
    """What the watcher would get now, without an event loop."""
    waiting = watcher.part() if watcher.open else None
    assert waiting is not None
    return waiting


def test_a_replay_changes_nothing_but_the_counts() -> None:
    feed = Feed()
    outputs = [forecast(), scale(), anomaly(), alert(), outcome()]
    feed.outputs("any", outputs)
    before = feed.snapshot()
    feed.outputs("any", outputs)
    after = feed.snapshot()
    after.counts = before.counts
    assert after == before
