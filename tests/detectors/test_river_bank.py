"""River's models as banks: keys, broken models, and what the registry refuses."""

import pickle
from typing import Any

import numpy as np
import pytest
from river.base import AnomalyDetector

from detectors.budget import SAVED_SAMPLES, Budget
from detectors.port import StateError, UnknownDetectorError
from detectors.registry import make_bank
from detectors.river_bank import RiverBank
from detectors.river_models import river_model

KEY = b"the key of this worker, long enough"
HST = "river.anomaly.HalfSpaceTrees"


def learn(bank: Any, row: int, values: list[float]) -> Any:
    count = len(values)
    return bank.update(np.full(count, row), 60_000 * np.arange(count), np.array(values))


class Picky(AnomalyDetector):
    """Raises on values it does not like."""

    def learn_one(self, x: dict[Any, Any]) -> None:
        if x["value"] == 1.0 and x["change"] == 1.0:
            raise RuntimeError("cannot learn a jump to the top")

    def score_one(self, x: dict[Any, Any]) -> float:
        return float(x["value"])


def test_a_model_that_raises_loses_its_sample_and_no_other() -> None:
    bank = RiverBank("picky", Picky, alarms_per_series_day=1.0, key=KEY)
    bank.grow(2)
    rows = np.array([0, 1, 0, 1, 0, 1])
    values = np.array([1.0, 5.0, 9.0, 4.0, 2.0, 3.0])
    scores = bank.update(rows, np.arange(6) * 60_000, values)
    assert list(scores.errors) == [2]
    assert "RuntimeError: cannot learn a jump" in scores.errors[2]
    np.testing.assert_array_equal(np.isnan(scores.score), [False, False, True, False, False, False])


def test_a_slow_model_is_used_less_often_and_holds_up_no_other() -> None:
    now = 0.0

    class Slow(AnomalyDetector):
        """Takes a hundred times its budget for large values."""

        def learn_one(self, x: dict[Any, Any]) -> None:
            nonlocal now
            now += 0.5 if x["value"] > 0.5 else 0.001

        def score_one(self, x: dict[Any, Any]) -> float:
            return float(x["value"])

    bank = RiverBank("slow", Slow, alarms_per_series_day=1.0, key=KEY, budget=Budget(0.005, lambda: now))
    bank.grow(2)
    count = 20_000
    rows = np.tile([0, 1], count // 2)
    values = np.where(rows == 0, 10.0 + np.arange(count), -np.arange(count))
    scores = bank.update(rows, np.repeat(np.arange(count // 2) * 60_000, 2), values)
    scored = ~np.isnan(scores.score)
    assert scored[rows == 1].all()
    assert scores.unscored == count - scored.sum()
    assert 90 <= scored[rows == 0].sum() <= 110
    assert now < 0.006 * count + 0.005 * SAVED_SAMPLES


def test_an_altered_block_is_not_unpickled() -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (pytest.fail, ("the block was unpickled before its signature was checked",))

    bank = RiverBank(HST, river_model(HST, {}), alarms_per_series_day=1.0, key=KEY)
    bank.grow(1)
    learn(bank, 0, [1.0, 2.0, 3.0])
    block = bank.dump(0, 1)
    mac, header = block[:32], block[32:].partition(b"\n")[0]
    with pytest.raises(StateError, match="signature"):
        bank.load(0, 1, mac + header + b"\n" + pickle.dumps([Bomb()]))
    for position in (0, 31, 40, len(block) - 1):
        altered = bytearray(block)
        altered[position] ^= 1
        with pytest.raises(StateError, match="signature"):
            bank.load(0, 1, bytes(altered))


def test_another_key_is_refused_and_no_key_is_said() -> None:
    bank, other, without = (make_bank(HST, key=key) for key in (KEY, b"another", None))
    for each in (bank, other, without):
        each.grow(1)
    with pytest.raises(StateError, match="another key"):
        other.load(0, 1, bank.dump(0, 1))
    with pytest.raises(StateError, match="needs a secret key"):
        without.dump(0, 1)
    learn(without, 0, [1.0, 2.0])  # it works without being kept, as in a backtest


def test_half_space_trees_find_a_value_far_out() -> None:
    values = np.random.default_rng(1).normal(10.0, 1.0, 1500)
    values[1200] = 60.0
    bank = make_bank(HST, alarms_per_series_day=1.0)
    bank.grow(1)
    scores = learn(bank, 0, values.tolist())
    assert scores.score[1200] > np.quantile(scores.score[600:], 0.99)


def test_a_drift_is_an_alarm() -> None:
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0.0, 1.0, 1000), rng.normal(8.0, 1.0, 300)])
    bank = make_bank("river.drift.ADWIN")
    bank.grow(1)
    alarms = np.flatnonzero(learn(bank, 0, values.tolist()).alarm)
    assert len(alarms[(alarms >= 1000) & (alarms < 1100)]) == 1
    assert not len(alarms[alarms < 1000])


@pytest.mark.parametrize(
    ("model", "params", "told"),
    [
        ("tidgate", {}, "known are tidegate, ewma-z, river.anomaly"),
        ("river.anomaly.HalfSpaceTree", {}, "river.anomaly.HalfSpaceTrees"),
        ("river.anomaly.QuantileFilter", {}, "unknown detector"),
        ("river.os.system", {}, "unknown detector"),
        (HST, {"trees": 3}, "unexpected keyword argument 'trees'"),
        ("ewma-z", {"memroy": 3}, "it takes memory"),
        ("tidegate", {"window": 3}, "it takes none"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(model: str, params: dict[str, object], told: str) -> None:
    with pytest.raises(UnknownDetectorError, match=told):
        make_bank(model, params)


@pytest.mark.parametrize("rate", [0.0, -1.0, 1440.0, float("nan")])
def test_an_impossible_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="alarms_per_series_day"):
        make_bank(alarms_per_series_day=rate)
