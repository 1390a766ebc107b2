"""Versions of a target: last known good, the way back, the guard against ping-pong."""

import msgspec

from planners.releases import History, HistoryConfig

HOUR = 3_600_000


def grown() -> History:
    """v1 good, v2 rolled back, v3 running unproven."""
    history = History().deployed(0, "v1").promoted(HOUR, "v1", by="judge")
    history = history.deployed(2 * HOUR, "v2").rolled_back(3 * HOUR, "v2", "v1", by="judge", reason="errors")
    return history.deployed(4 * HOUR, "v3", by="ann")


def test_what_ran_when() -> None:
    history = grown()
    assert history.current == "v3"
    assert [(change.release, change.how) for change in history.changes] == [
        ("v1", "deployed"),
        ("v1", "promoted"),
        ("v2", "deployed"),
        ("v2", "rolled-back"),
        ("v3", "deployed"),
    ]
    assert history.standing == {"v1": "good", "v2": "bad", "v3": "unproven"}


def test_the_way_back() -> None:
    history = grown()
    assert history.last_good() == "v1"
    assert history.way_back("v3", previous="v2") == "v1"
    assert history.way_back("v3", previous="v1") == "v1"
    assert history.way_back("v1", previous=None) is None
    assert History().way_back("v1", previous="v0") == "v0"


def test_an_unproven_release_is_not_called_good() -> None:
    history = History().deployed(0, "v1").deployed(1, "v2")
    assert history.last_good() is None


def test_rollbacks_stop_when_they_do_not_help() -> None:
    history = grown()
    assert history.refuses_rollback(5 * HOUR) is None
    history = history.rolled_back(5 * HOUR, "v3", "v1", by="judge")
    refused = history.refuses_rollback(5 * HOUR + 1)
    assert refused is not None
    assert "2 rollbacks within 6 h (v2, v3)" in refused
    assert history.refuses_rollback(9 * HOUR + 1) is None


def test_a_bad_release_is_not_tried_again_soon() -> None:
    history = grown()
    refused = history.refuses_release(4 * HOUR, "v2")
    assert refused == "v2 was rolled back 60 min ago: errors"
    assert history.refuses_release(4 * HOUR, "v4") is None
    assert history.refuses_release(28 * HOUR, "v2") is None
    assert history.deployed(28 * HOUR, "v2").standing["v2"] == "unproven"


def test_a_replay_changes_nothing() -> None:
    history = grown()
    assert history.rolled_back(3 * HOUR, "v2", "v1", by="judge", reason="errors") == history
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(history), type=History) == history


def test_it_forgets_the_oldest() -> None:
    history = History(config=HistoryConfig(kept=3))
    for ts in range(5):
        history = history.deployed(ts, f"v{ts}")
    assert [change.release for change in history.changes] == ["v2", "v3", "v4"]
