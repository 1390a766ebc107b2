"""What one replica can serve is found from how busy replicas are."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners.scaling import CapacityState, Saturation, learn_capacity, learnt_capacity
from streams.scaling import ScaleConfig, TargetScaler
from tests.scaling.service import MINUTE_MS, START_MS, by_day, noisy


def _learnt(
    loads: np.ndarray, signals: np.ndarray, limit: float, kind: Saturation = "utilisation"
) -> float | None:
    state = CapacityState()
    for load, signal in zip(loads.tolist(), signals.tolist(), strict=True):
        state = learn_capacity(state, load, signal, kind)
    return learnt_capacity(state, limit, kind)


def test_utilisation_with_an_idle_share_gives_the_capacity() -> None:
    rng = np.random.default_rng(1)
    loads = rng.uniform(20.0, 60.0, 500)
    busy = 0.1 + 0.007 * loads + 0.02 * rng.standard_normal(500)
    assert _learnt(loads, busy, limit=0.8) == pytest.approx(100.0, rel=0.03)


def test_latency_of_a_queue_gives_the_capacity() -> None:
    rng = np.random.default_rng(2)
    loads = rng.uniform(20.0, 70.0, 500)
    latency = 0.020 / (1.0 - loads / 100.0) * (1.0 + 0.03 * rng.standard_normal(500))
    # 100 ms are reached where the queue is 80 % busy.
    assert _learnt(loads, latency, limit=0.100, kind="latency") == pytest.approx(80.0, rel=0.05)


def test_a_load_that_hardly_varies_gives_a_proportion_or_nothing() -> None:
    loads = np.full(100, 50.0)
    assert _learnt(loads, np.full(100, 0.5), limit=0.8) == pytest.approx(80.0)
    assert _learnt(loads, np.full(100, 0.05), limit=0.1, kind="latency") is None


def test_no_more_than_twice_what_was_seen_is_believed() -> None:
    loads = np.linspace(1.0, 2.0, 100)
    found = _learnt(loads, 0.001 * loads, limit=0.8)
    assert found == pytest.approx(4.0, rel=0.05)


def test_a_signal_that_does_not_rise_with_the_load_tells_nothing() -> None:
    loads = np.linspace(10.0, 60.0, 100)
    assert _learnt(loads, 1.0 - 0.01 * loads, limit=0.8) is None


@given(
    st.lists(st.tuples(st.floats(), st.floats()), max_size=100),
    st.sampled_from(["utilisation", "latency"]),
)
def test_whatever_comes_the_capacity_is_positive_or_not_told(
    samples: list[tuple[float, float]], kind: Saturation
) -> None:
    state = CapacityState()
    for load, signal in samples:
        state = learn_capacity(state, load, signal, kind)
    found = learnt_capacity(state, 0.8, kind)
    assert found is None or (math.isfinite(found) and found > 0.0)


def test_a_scaler_without_a_capacity_learns_it_while_it_scales() -> None:
    load = noisy(by_day(1, lambda _: (100, 400)), np.random.default_rng(3))
    scaler = TargetScaler(ScaleConfig(saturation_limit=0.8))
    assert scaler.capacity is None
    replicas = 10
    for minute, value in enumerate(load.tolist()):
        busy = 0.1 + 0.7 * value / replicas / 25.0  # a replica is full, at 0.8, with 25
        _, decision = scaler.observe(
            START_MS + minute * MINUTE_MS, value, replicas, saturation=min(busy, 1.0)
        )
        assert decision is not None
        if minute % 10 == 0:
            replicas = decision.replicas
    assert scaler.capacity == pytest.approx(25.0, rel=0.1)
    stored = TargetScaler.from_bytes(scaler.config, scaler.to_bytes())
    assert stored.capacity == scaler.capacity
