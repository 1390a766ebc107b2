"""Champion and challenger: the better model gets the word, and loses it again where that was wrong."""

import msgspec
import numpy as np
import pytest

from planners.releases.contest import Contest, ContestConfig, Turn

MINUTE = 60_000
CONFIG = ContestConfig(champion="old", challenger="new", least=50)


def run(contest: Contest, rng: np.random.Generator, start: int, count: int, **means: float) -> list[Turn]:
    """Losses of both models, gamma-distributed with these means, for `count` minutes."""
    turns = []
    for minute in range(start, start + count):
        losses = {name: float(rng.gamma(2.0, mean / 2.0)) for name, mean in means.items()}
        turn = contest.observe(minute * MINUTE, losses[contest.champion], losses[contest.challenger])
        turns += [turn] if turn else []
    return turns


def test_a_better_challenger_is_promoted_with_its_reason() -> None:
    contest = Contest.begin(CONFIG, 0)
    (turn,) = run(contest, np.random.default_rng(0), 0, 2000, old=1.0, new=0.7)
    assert (turn.champion, turn.before, turn.how) == ("new", "old", "promoted")
    assert turn.reason.startswith("new wins: loss ratio 0.")
    assert contest.champion == "new"


def test_a_promotion_that_proves_wrong_is_rolled_back_by_the_same_test() -> None:
    contest, rng = Contest.begin(CONFIG, 0), np.random.default_rng(1)
    turns = run(contest, rng, 0, 1500, old=1.0, new=0.6)
    turns += run(contest, rng, 1500, 1500, old=1.0, new=2.0)
    assert [(turn.champion, turn.how) for turn in turns] == [("new", "promoted"), ("old", "rolled-back")]


def test_a_worse_challenger_never_gets_the_word() -> None:
    contest = Contest.begin(CONFIG, 0)
    assert run(contest, np.random.default_rng(2), 0, 3000, old=1.0, new=1.4) == []
    assert contest.champion == "old"


def test_equal_models_seldom_change_places_however_often_one_looks() -> None:
    changed = 0
    for seed in range(60):
        contest = Contest.begin(CONFIG, 0)
        changed += bool(run(contest, np.random.default_rng(seed), 0, 400, old=1.0, new=1.0))
    assert changed <= 8  # binomial(60, 0.05) exceeds 8 once in two hundred


def test_a_contest_survives_a_restart_at_any_moment() -> None:
    whole, stored = Contest.begin(CONFIG, 0), Contest.begin(CONFIG, 0)
    rng = np.random.default_rng(3)
    for minute in range(300):
        losses = rng.gamma(2.0, 0.5), rng.gamma(2.0, 0.3)
        told = [contest.observe(minute * MINUTE, *map(float, losses)) for contest in (whole, stored)]
        assert told[0] == told[1]
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=Contest)
    assert stored == whole


def test_two_names_for_one_model_are_refused() -> None:
    with pytest.raises(ValueError, match="name two models"):
        ContestConfig(champion="ensemble", challenger="ensemble")
