"""Thresholds that people have moved: the verdict and the band follow, the model and other rows do not."""

import numpy as np
import pytest

from detectors.port import Scores, StateError
from detectors.registry import known_models, make_bank

KEY = b"a key of this test's own, 32 bytes"
COUNT = 400
SLOW = {"river.anomaly.LODA", "river.anomaly.LocalOutlierFactor"}


def _values() -> np.ndarray:
    rng = np.random.default_rng(4)
    values = 100.0 + rng.normal(0.0, 2.0, COUNT)
    values[[200, 300]] += 12.0, -12.0
    return values


def _run(below: float, above: float, model: str = "tidegate", row: int = 0) -> Scores:
    bank = make_bank(model, key=KEY, alarms_per_series_day=4.0)
    bank.grow(2)
    bank.tune(np.array([0]), np.array([below]), np.array([above]))
    return bank.update(np.full(COUNT, row), 300_000 * np.arange(COUNT), _values())


def test_a_side_that_is_raised_no_longer_alarms_and_the_other_still_does() -> None:
    plain, raised = _run(0.0, 0.0), _run(0.0, 1.5)
    assert plain.alarm[200]
    assert plain.alarm[300]
    assert not raised.alarm[200]
    assert raised.alarm[300]
    assert (raised.upper >= plain.upper)[50:].all()
    assert (raised.upper > plain.upper)[50:].mean() > 0.99
    np.testing.assert_array_equal(plain.lower, raised.lower)
    np.testing.assert_array_equal(plain.expected, raised.expected)


def test_a_lowered_threshold_alarms_on_less() -> None:
    assert _run(-0.4, -0.4).alarm.sum() > _run(0.0, 0.0).alarm.sum()


def test_other_rows_are_not_touched() -> None:
    for plain, beside in zip(_columns(_run(0, 0, row=1)), _columns(_run(1, 1, row=1)), strict=True):
        np.testing.assert_array_equal(plain, beside)


@pytest.mark.parametrize(
    "model", [name for name in known_models() if "Local" not in name and "LODA" not in name]
)
def test_an_alarm_stays_evidence_of_strength_one(model: str) -> None:
    scores = _run(-0.3, 0.3, model)
    np.testing.assert_array_equal(scores.alarm, (scores.evidence >= 1.0).any(axis=1) & ~scores.learning)


def test_what_was_set_is_state_of_the_row() -> None:
    bank, other = make_bank(), make_bank()
    bank.grow(3)
    other.grow(3)
    bank.tune(np.array([1]), np.array([0.25]), np.array([-0.5]))
    other.load(0, 3, bank.dump(0, 3))
    assert [other.tuning(row) for row in range(3)] == [(0, 0), (0.25, -0.5), (0, 0)]
    other.reset(1)
    assert other.tuning(1) == (0, 0)
    with pytest.raises(StateError, match="expected 'tuned/1'"):
        other.load(0, 3, b"tidegate/1/8\n")


def _columns(scores: Scores) -> list[np.ndarray]:
    return [scores.score, scores.lower, scores.upper, scores.alarm, scores.evidence]
