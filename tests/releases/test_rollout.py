"""The course of a target's releases: canary, time alone, rollbacks and their guards, orders, the audit."""

from dataclasses import dataclass, field

import msgspec
import numpy as np
import pytest

from planners.releases import (
    CanaryAction,
    CanaryPlan,
    Change,
    HistoryConfig,
    JudgeConfig,
    MetricSpec,
    Rollout,
    RolloutConfig,
    Seen,
    Step,
)
from planners.releases.rollout import Fate
from schemas import Deployment, Promote, ReleaseOrder, Rollback, Scale, SetTraffic
from tests.releases.generate import MINUTE

PLAN = CanaryPlan(bake_ms=10 * MINUTE, silence_ms=60 * MINUTE)
JUDGE = JudgeConfig(
    metrics=(MetricSpec(name="errors", kind="rate", total="requests", tolerance=0.1, margin=0.5),),
    only_listed=True,
)
CONFIG = RolloutConfig(judge=JUDGE, canary=PLAN)


@dataclass
class World:
    """A platform that does what it is asked for, and a service on it; `rates` are errors by release."""

    config: RolloutConfig = CONFIG
    rates: dict[str, float] = field(default_factory=lambda: {"v1": 0.005})
    fate: Fate = "done"
    seed: int = 0
    requests: int = 4000

    def __post_init__(self) -> None:
        self.rollout = Rollout.begin(self.config)
        self.rng = np.random.default_rng(self.seed)
        self.minute = 0
        self.main, self.canary, self.percent = "v1", "", 0.0
        self.actions: list[CanaryAction] = []
        self.changes: list[Change] = []

    def deploy(self, release: str, rate: float, percent: float | None = None) -> None:
        self.rates[release] = rate
        previous = self.main
        if percent is None:
            self.main, self.canary, self.percent = release, "", 0.0
        else:
            self.canary, self.percent = release, percent
        self.take(
            self.rollout.deployed(
                Deployment(
                    target="shop", release=release, ts=self.now, previous=previous, canary_percent=percent
                )
            )
        )

    @property
    def now(self) -> int:
        return self.minute * MINUTE

    def order(self, order: str, release: str | None = None) -> None:
        self.take(
            self.rollout.order(
                ReleaseOrder(target="shop", order=order, ts=self.now, by="ann", release=release)  # type: ignore[arg-type]
            )
        )

    def run(self, minutes: int, *, arms: bool = True, short: bool = False) -> None:
        for _ in range(minutes):
            self.minute += 1
            self.rollout = msgspec.msgpack.decode(msgspec.msgpack.encode(self.rollout), type=Rollout)
            shares = [("control", self.main, 100 - self.percent), ("canary", self.canary, self.percent)]
            for arm, release, percent in shares if arms else [(None, self.main, 100.0)]:
                total = round(self.requests * percent / 100)
                if total:
                    count = int(self.rng.binomial(total, self.rates[release]))
                    seen = Seen(self.now, arm, "errors", count, total)  # type: ignore[arg-type]
                    self.take(self.rollout.observe(seen, short=short))

    def take(self, steps: list[Step]) -> None:
        for step in steps:
            if isinstance(step, Change):
                self.changes.append(step)
                continue
            self.actions.append(step)
            if self.fate == "done":
                self.act(step)
            self.take(self.rollout.settled(step.key, self.fate, "because", self.now))

    def act(self, step: CanaryAction) -> None:
        match step.action:
            case SetTraffic(percent=percent):
                self.percent = percent
            case Promote(release=release):
                self.main, self.canary, self.percent = release, "", 0.0
            case Rollback(to=to):
                self.main, self.canary, self.percent = str(to), "", 0.0

    @property
    def asked(self) -> list[object]:
        return [action.action for action in self.actions]

    @property
    def told(self) -> list[tuple[str, str, str]]:
        return [(change.how, change.release, change.by) for change in self.changes]


def test_a_good_canary_walks_all_steps_and_is_the_last_good_release() -> None:
    world = World()
    world.run(60)
    world.deploy("v2", 0.005, percent=5.0)
    world.run(60)
    assert world.asked == [
        *(SetTraffic(release="v2", percent=percent) for percent in (5.0, 25.0, 50.0, 100.0)),
        Promote(release="v2"),
    ]
    assert world.told == [
        ("deployed", "v2", ""),
        *[("set-traffic", "v2", "tidegate")] * 4,
        ("promoted", "v2", "tidegate"),
    ]
    assert world.rollout.history.last_good() == "v2"
    assert [change.percent for change in world.changes if change.how == "set-traffic"] == [5, 25, 50, 100]


@pytest.mark.parametrize("seed", range(5))
def test_a_bad_canary_is_taken_back_within_its_first_step(seed: int) -> None:
    world = World(seed=seed)
    world.run(60)
    world.deploy("v2", 0.05, percent=5.0)
    world.run(15)
    assert world.asked == [SetTraffic(release="v2", percent=5.0), Rollback(release="v2", to="v1")]
    assert (world.main, world.percent) == ("v1", 0.0)
    (end,) = [change for change in world.changes if change.how == "rolled-back"]
    assert (end.to, end.by) == ("v1", "tidegate")
    assert "errors is harmful" in end.reason


def test_harm_that_only_shows_with_all_the_traffic_is_found_against_the_time_before() -> None:
    world = World()
    world.run(60)
    world.deploy("v2", 0.005, percent=5.0)
    while world.percent < 100:
        world.run(1)
    world.rates["v2"] = 0.05
    world.run(8)
    assert world.asked[-1] == Rollback(release="v2", to="v1")
    assert "before the release" in world.actions[-1].reason


def test_a_step_that_the_platform_refuses_is_asked_for_again_and_does_not_begin() -> None:
    world = World(fate="not-done")
    world.run(60)
    world.deploy("v2", 0.005, percent=0.0)
    world.run(5)
    assert world.asked == [SetTraffic(release="v2", percent=5.0)] * len(world.actions)
    assert len(world.actions) > 3
    assert len({action.key for action in world.actions}) == len(world.actions)
    assert [change.how for change in world.changes] == ["deployed", "held"], "told once"
    world.fate = "done"
    world.run(2)
    begun = world.now
    world.run(12)
    assert SetTraffic(release="v2", percent=25.0) in world.asked
    assert world.rollout.canary is not None
    assert world.rollout.canary.since >= begun + 9 * MINUTE


def test_a_rollback_that_fails_is_asked_for_until_it_is_done_and_is_history_only_then() -> None:
    world = World()
    world.run(60)
    world.deploy("v2", 0.05, percent=5.0)
    world.fate = "not-done"
    world.run(12)
    assert [type(action) for action in world.asked].count(Rollback) > 2
    assert all(change.how != "rolled-back" for change in world.changes)
    world.fate = "done"
    world.run(3)
    assert [change.how for change in world.changes].count("rolled-back") == 1
    assert world.main == "v1"


def test_what_cannot_be_done_is_left_to_a_person_in_the_end() -> None:
    judge = msgspec.structs.replace(JUDGE, timeout_ms=20 * MINUTE)
    world = World(RolloutConfig(judge=judge, canary=PLAN))
    world.run(60)
    world.deploy("v2", 0.05, percent=5.0)
    world.fate = "not-done"
    world.run(60)
    assert "a person has to" in world.changes[-1].reason
    count = len(world.actions)
    world.run(10)
    assert len(world.actions) == count


def test_a_dry_run_is_never_history() -> None:
    world = World(fate="dry-run")
    world.run(60)
    world.deploy("v2", 0.05, percent=5.0)
    world.run(15)
    assert Rollback(release="v2", to="v1") in world.asked
    assert world.rollout.history.refuses_release(world.now, "v2") is None
    assert world.told[-1] == ("held", "v2", "tidegate")
    assert world.changes[-1].reason.startswith("dry run of rollback")


def test_after_two_rollbacks_without_a_control_a_person_decides() -> None:
    world = World(RolloutConfig(judge=JUDGE, history=HistoryConfig(most_rollbacks=2)))
    world.run(60, arms=False)
    for release in ("v2", "v3"):
        world.deploy(release, 0.06)
        world.run(10, arms=False)
        assert world.main == "v1"
        world.run(30, arms=False)
    world.deploy("v4", 0.06)
    world.run(10, arms=False)
    assert world.main == "v4"
    assert [type(action) for action in world.asked] == [Rollback, Rollback]
    assert "2 rollbacks within 6 h (v2, v3)" in world.changes[-1].reason
    world.order("abort")
    assert world.main == "v1"
    assert world.told[-1] == ("rolled-back", "v4", "ann")


def test_canaries_that_do_worse_than_their_control_are_always_taken_back() -> None:
    world = World()
    world.run(60)
    for number in range(2, 6):
        world.deploy(f"v{number}", 0.06, percent=5.0)
        world.run(12)
        assert world.main == "v1"
    assert [type(action) for action in world.asked].count(Rollback) == 4


def test_a_release_that_was_rolled_back_is_not_rolled_out_again_unless_a_person_insists() -> None:
    world = World()
    world.run(60)
    world.deploy("v2", 0.06, percent=5.0)
    world.run(12)
    world.deploy("v2", 0.005, percent=0.0)
    world.run(20)
    assert world.told[-1] == ("paused", "v2", "tidegate")
    assert "v2 was rolled back" in world.changes[-1].reason
    assert world.percent == 0.0
    world.order("resume")
    world.run(60)
    assert world.main == "v2"
    assert world.rollout.history.last_good() == "v2"


@pytest.mark.parametrize(("order", "main"), [("abort", "v1"), ("promote", "v2")])
def test_a_person_ends_a_canary(order: str, main: str) -> None:
    world = World()
    world.run(60)
    world.deploy("v2", 0.005, percent=5.0)
    world.run(3)
    world.order(order, release="v9")
    assert world.told[-1] == ("held", "v9", "ann")
    world.minute += 1
    world.order(order, release="v2")
    assert world.main == main
    assert world.told[-1][1:] == ("v2", "ann")
    asked = list(world.actions)
    world.order(order, release="v2")  # the same event once more
    assert world.actions == asked


def test_a_pause_holds_until_it_is_lifted() -> None:
    world = World()
    world.run(60)
    world.deploy("v2", 0.005, percent=5.0)
    world.run(3)
    world.order("pause")
    world.run(40)
    assert world.percent == 5.0
    world.order("resume")
    world.run(12)
    assert world.percent == 25.0
    assert [how for how, _, _ in world.told if how in ("paused", "resumed")] == ["paused", "resumed"]


def test_silence_pauses_a_canary_by_the_clock() -> None:
    world = World()
    world.run(60)
    world.deploy("v2", 0.005, percent=5.0)
    world.run(2)
    world.take(world.rollout.advance(world.now + 57 * MINUTE))
    assert world.told[-1][0] == "set-traffic"
    world.take(world.rollout.advance(world.now + 61 * MINUTE))
    assert world.told[-1] == ("paused", "v2", "tidegate")
    assert "too little data" in world.changes[-1].reason


def test_a_verdict_that_is_overdue_is_told_once() -> None:
    world = World(RolloutConfig(judge=JUDGE))
    world.run(60)
    world.deploy("v2", 0.005, percent=5.0)
    for minute in range(1, 800, 60):
        world.take(world.rollout.advance(world.now + minute * MINUTE))
    assert [change.how for change in world.changes] == ["deployed", "held"]
    assert "the default on timeout is continue" in world.changes[-1].reason


def test_what_the_platform_tells_of_the_canarys_own_steps_opens_nothing_new() -> None:
    world = World()
    world.run(60)
    world.deploy("v2", 0.005, percent=5.0)
    for percent in (5.0, 25.0, None):
        world.run(12)
        echo = Deployment(target="shop", release="v2", ts=world.now, previous="v1", canary_percent=percent)
        world.take(world.rollout.deployed(echo))
        world.take(world.rollout.deployed(echo))
    world.run(60)
    assert [type(action) for action in world.asked] == [*[SetTraffic] * 4, Promote]
    assert [how for how, _, _ in world.told].count("deployed") == 1


def test_the_way_back_is_not_judged_in_turn() -> None:
    world = World(RolloutConfig(judge=JUDGE))
    world.run(60, arms=False)
    world.deploy("v2", 0.06)
    world.run(8, arms=False)
    assert world.main == "v1"
    world.take(world.rollout.deployed(Deployment(target="shop", release="v1", ts=world.now, previous="v2")))
    world.run(60, arms=False)
    assert [type(action) for action in world.asked] == [Rollback]


def test_a_release_is_not_blamed_for_replicas_that_come_late() -> None:
    world = World(RolloutConfig(judge=JUDGE))
    world.run(60, arms=False)
    world.deploy("v2", 0.06)
    world.run(30, arms=False, short=True)
    assert world.actions == []


def test_a_failing_release_is_not_scaled_up_but_for_a_time_only() -> None:
    world = World(RolloutConfig(judge=msgspec.structs.replace(JUDGE, min_steps=500)))
    world.run(60)
    world.deploy("v2", 0.06, percent=5.0)
    up, down = Scale(replicas=8, previous=4), Scale(replicas=2, previous=4)
    assert world.rollout.allowed(up, world.now) == (up, [])
    world.run(5)
    allowed, changes = world.rollout.allowed(up, world.now)
    assert allowed is None
    assert changes[0].reason == "not scaled up to 8: the release looks bad on errors"
    assert world.rollout.allowed(up, world.now + MINUTE) == (None, [])
    assert world.rollout.allowed(down, world.now) == (down, [])
    assert world.rollout.allowed(up, world.now + 10 * MINUTE) == (up, [])
