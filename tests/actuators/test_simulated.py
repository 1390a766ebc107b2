"""The simulated service: its clockwork, its releases, and its account against two independent ones."""

import importlib.util
import itertools
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actuators import ConfigurationError, NotSupported, Refused, Unavailable, UnknownTarget, make_actuator
from actuators.accounting import Account
from actuators.queueing import latency
from actuators.service_sample import ServiceSample
from actuators.simulated import SimulatedService
from actuators.simulated_cluster import SimulatedCluster
from schemas import Place, Promote, Rollback, Scale, SetTraffic
from tests.actuators.commands import act, scale, service

STEP_MS = 15_000


async def drive(
    shop: SimulatedService, load: list[float], desired: list[int], step_ms: int = STEP_MS
) -> list[ServiceSample]:
    """Ask for `desired[i]` just before tick i."""
    samples = []
    for step, (value, count) in enumerate(zip(load, desired, strict=True)):
        await shop.apply(scale(step, count, issued_at=0))
        samples.append(shop.tick(step * step_ms, value))
    return samples


async def test_a_replica_is_paid_at_once_and_serves_after_its_start_up() -> None:
    shop = service(startup_s=60.0, replicas=1)
    samples = await drive(shop, [5.0] * 7, [1, 3, 3, 3, 3, 3, 3])
    assert [sample.paid for sample in samples] == [1, 3, 3, 3, 3, 3, 3]
    assert [sample.ready for sample in samples] == [1, 1, 1, 1, 1, 3, 3]


async def test_a_replica_that_goes_goes_at_once_and_the_youngest_first() -> None:
    shop = service(startup_s=60.0, replicas=4)
    samples = await drive(shop, [5.0] * 8, [4, 6, 8, 5, 5, 5, 2, 2])
    assert [sample.paid for sample in samples] == [4, 6, 8, 5, 5, 5, 2, 2]
    assert [sample.ready for sample in samples] == [4, 4, 4, 4, 4, 5, 2, 2]


async def test_load_above_what_is_ready_is_unserved() -> None:
    shop = service(capacity=10.0, replicas=2)
    sample = shop.tick(0, 25.0)
    assert (sample.served, sample.unserved, sample.utilisation) == (20.0, 5.0, 1.0)
    nothing = service(replicas=0).tick(0, 3.0)
    assert (nothing.served, nothing.unserved, nothing.utilisation, nothing.requests) == (0.0, 3.0, 0.0, 0)


def reference(load: list[float], desired: list[int], capacity: float, lag: int, step_ms: int) -> Account:
    """By definition: a replica is ready once it was wanted for the whole start-up time without a break."""
    ready = [min(([desired[0]] * lag + desired)[i : i + lag + 1]) for i in range(len(desired))]
    over = [max(value - count * capacity, 0.0) for value, count in zip(load, ready, strict=True)]
    breaches = [step * step_ms for step, value in enumerate(over) if value > 0]
    paid = sum(desired)
    return Account(
        replica_hours=paid * step_ms / 3.6e6,
        breach_minutes=len(breaches) * step_ms / 60_000,
        incidents=sum(b - a > 300_000 for a, b in itertools.pairwise([-math.inf, *breaches])),
        unserved=sum(over) / sum(load) if sum(load) else 0.0,
        utilisation=(sum(load) - sum(over)) / (paid * capacity) if paid else 0.0,
        changes=sum(a != b for a, b in itertools.pairwise(desired)),
    )


def close(left: Account, right: Account) -> bool:
    return all(
        getattr(left, name) == pytest.approx(getattr(right, name), rel=1e-9, abs=1e-9)
        for name in Account.__slots__
    )


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    size = draw(st.integers(1, 120))
    load = draw(st.lists(st.floats(0, 100), min_size=size, max_size=size))
    desired: list[int] = []
    while len(desired) < size:
        desired += [draw(st.integers(0, 12))] * draw(st.integers(1, 12))
    return load, desired[:size]


@settings(max_examples=150, deadline=None)
@given(history=histories(), lag=st.integers(0, 12), step_ms=st.sampled_from([15_000, 60_000]))
async def test_the_account_is_that_of_the_definition(
    history: tuple[list[float], list[int]], lag: int, step_ms: int
) -> None:
    load, desired = history
    shop = service(startup_s=lag * step_ms / 1000, replicas=desired[0])
    await drive(shop, load, desired, step_ms)
    if len(load) > 1:  # the length of a lone interval is not known
        assert close(shop.account(), reference(load, desired, 10.0, lag, step_ms))


@pytest.fixture(scope="session")
def scale_score(shared_data: Path) -> ModuleType:
    path = shared_data / "tools" / "scale_score.py"
    spec = importlib.util.spec_from_file_location("scale_score", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["scale_score"] = module
    spec.loader.exec_module(module)
    return module


async def test_the_account_is_that_of_the_scorer_on_a_real_trace(scale_score: Any, shared_data: Path) -> None:
    trace = shared_data / "data" / "load-traces" / "crane" / "input0.csv"
    ts, values = scale_score.read_columns(trace)
    load = scale_score.on_grid(ts, values, np.arange(ts[0], ts[-1], scale_score.STEP_S))
    capacity = float(values.max()) / 40
    desired = np.maximum(1, np.ceil(np.roll(load, 40) / capacity * 1.1)).astype(int)
    first = len(load) // 4
    theirs = scale_score.simulate(load, desired, capacity, 120.0, first)
    shop = service(capacity=capacity, startup_s=120.0, replicas=int(desired[0]))
    for step in range(len(load)):
        await shop.apply(scale(step, int(desired[step]), issued_at=0))
        shop.tick(step * STEP_MS, float(load[step]))
        if step == first - 1:
            shop.restart_account()
    ours = shop.account()
    assert theirs.breach_minutes > 0
    assert close(ours, Account(**{name: getattr(theirs, name) for name in Account.__slots__}))


async def test_the_same_seed_gives_the_same_week() -> None:
    runs = [await drive(service(), [5.0, 7.0, 9.0], [1, 2, 2]) for _ in range(2)]
    assert runs[0] == runs[1]


def errors_and_p99(shop: SimulatedService, start: int, ticks: int = 40) -> tuple[float, float]:
    samples = [shop.tick(start + step * STEP_MS, 50.0) for step in range(ticks)]
    share = sum(sample.errors for sample in samples) / sum(sample.requests for sample in samples)
    return share, float(np.median([sample.latency_p99_ms for sample in samples]))


async def test_a_bad_release_hurts_until_it_is_rolled_back() -> None:
    shop = service(replicas=8, error_rate=0.002, bad_error_rate=0.08)
    good, good_ms = errors_and_p99(shop, 0)
    shop.deploy("v2", 10**6, bad=True)
    bad, bad_ms = errors_and_p99(shop, 10**6)
    applied = await shop.apply(act(Rollback(release="v2", to=None)))
    after, after_ms = errors_and_p99(shop, 2 * 10**6)
    assert applied.detail == "checkout: rolled back from v2 to v1"
    assert good == pytest.approx(0.002, abs=0.001)
    assert bad == pytest.approx(0.08, abs=0.005)
    assert after == pytest.approx(0.002, abs=0.001)
    assert bad_ms > 1.4 * good_ms
    assert after_ms == pytest.approx(good_ms, rel=0.05)
    assert shop.release == "v1"


async def test_rolling_back_what_does_not_run_changes_nothing() -> None:
    shop = service()
    shop.deploy("v2", 1)
    assert (await shop.apply(act(Rollback(release="v2", to="v1")))).changed
    again = await shop.apply(act(Rollback(release="v2", to="v1")))
    assert not again.changed
    assert again.detail == "checkout: v2 is not in production, v1 is"
    with pytest.raises(Refused, match="no release v0"):
        await shop.apply(act(Rollback(release="v1", to="v0")))
    with pytest.raises(Refused, match="no release before v1"):
        await service().apply(act(Rollback(release="v1", to=None)))


async def test_rollback_returns_to_the_release_that_was_asked_for() -> None:
    shop = service()
    shop.deploy("v2", 1)
    shop.deploy("v3", 2)
    await shop.apply(act(Rollback(release="v3", to="v1")))
    assert shop.release == "v1"


async def test_a_canary_gets_its_share_and_is_promoted_or_withdrawn() -> None:
    shop = service(replicas=8)
    shop.deploy("v2", 0, bad=True, percent=5.0)
    arms = {arm.release: arm for arm in shop.tick(1000, 60.0).arms}
    assert (arms["v1"].percent, arms["v2"].percent) == (95.0, 5.0)
    assert shop.release == "v1"
    moved = await shop.apply(act(SetTraffic(release="v2", percent=25.0)))
    assert moved.detail == "checkout: v2 5 % -> 25 % of the traffic"
    sample = shop.tick(61_000, 60.0)
    assert [arm.requests for arm in sample.arms] == [2700, 900]
    await shop.apply(act(Promote(release="v2")))
    assert shop.release == "v2"
    assert not (await shop.apply(act(Promote(release="v2")))).changed
    shop.deploy("v3", 70_000, percent=10.0)
    withdrawn = await shop.apply(act(Rollback(release="v3", to=None)))
    assert withdrawn.detail == "checkout: canary v3 withdrawn"
    with pytest.raises(Refused, match="not a canary"):
        await shop.apply(act(SetTraffic(release="v3", percent=10.0)))


@pytest.mark.parametrize("rho", [0.3, 0.6, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("replicas", [1, 2, 8])
def test_waiting_follows_a_simulated_queue(rho: float, replicas: int) -> None:
    """An M/M/c queue simulated here customer by customer (Kiefer and Wolfowitz, 1955).

    Within a quarter, or 0.15 service times where hardly anyone waits.
    """
    rng = np.random.default_rng(5)
    size = 100_000
    arrivals = rng.exponential(1 / (rho * replicas), size).cumsum()
    services = rng.exponential(1.0, size)
    free = np.zeros(replicas)
    waits = np.empty(size)
    for customer in range(size):
        server = int(free.argmin())
        start = max(arrivals[customer], free[server])
        waits[customer] = start - arrivals[customer]
        free[server] = start + services[customer]
    _, p99 = latency(1.0, 0.0, rho, replicas)  # in service times, of the wait alone
    assert p99 == pytest.approx(float(np.quantile(waits, 0.99)), rel=0.25, abs=0.15)


def test_latency_grows_with_load_and_stays_finite() -> None:
    quantiles = [latency(40.0, 180.0, rho, 5) for rho in np.linspace(0, 1, 21)]
    assert quantiles == sorted(quantiles)
    assert all(p50 < p99 < 10**5 for p50, p99 in quantiles)
    assert service(replicas=1, timeout_ms=500.0).tick(0, 1000.0).latency_p99_ms == 500.0


@pytest.mark.parametrize(("ts", "load"), [(1000, 1.0), (500, 1.0), (2000, -1.0), (2000, math.nan)])
def test_ticks_that_make_no_sense_are_refused(ts: int, load: float) -> None:
    shop = service()
    shop.tick(1000, 1.0)
    with pytest.raises(ValueError, match=r"ascend|finite"):
        shop.tick(ts, load)


async def test_what_it_cannot_do_is_refused() -> None:
    shop = service(max_replicas=5)
    with pytest.raises(Refused, match=r"6 replicas are outside the quota 0\.\.5"):
        await shop.apply(scale(1, 6))
    with pytest.raises(Refused):
        await shop.apply(scale(1, -1))
    with pytest.raises(NotSupported):
        await shop.apply(act(Place(job="j", node="n", start_at=1)))
    with pytest.raises(UnknownTarget):
        await shop.apply(scale(1, target="search"))
    assert shop.executions == {}
    assert await shop.replicas("checkout") == 1


def cluster(**params: Any) -> SimulatedCluster:
    services = {"checkout": {"capacity": 10.0}, "search": {"capacity": 20.0, "replicas": 3}}
    made = make_actuator("simulated", {"services": services} | params, env={})
    assert isinstance(made, SimulatedCluster)
    return made


async def test_a_cluster_routes_by_target_within_its_quota() -> None:
    both = cluster(quota=8)
    await both.apply(scale(1, 5))
    with pytest.raises(Refused, match="9 replicas asked for in all, 8 allowed"):
        await both.apply(scale(2, 6))
    assert (await both.replicas("checkout"), await both.replicas("search")) == (5, 3)
    with pytest.raises(UnknownTarget, match="there are checkout, search"):
        await both.replicas("cart")
    assert both.executions == {"scale-1": 1}


async def test_a_clusters_failures_come_before_and_after_acting_and_are_seeded() -> None:
    async def fates(seed: int) -> tuple[str, ...]:
        shaky = cluster(failure_rate=0.5, seed=seed)
        words = []
        for number in range(60):
            command = act(Scale(replicas=number % 7, previous=0), id=f"c{number}")
            try:
                await shaky.apply(command)
                words.append("done")
            except Unavailable:
                words.append("lost" if command.id in shaky.executions else "before")
        return tuple(words)

    first = await fates(1)
    assert first == await fates(1)
    assert first != await fates(2)
    assert all(first.count(word) >= 8 for word in ("before", "lost"))
    assert 20 <= first.count("done") <= 40


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"services": {}}, "at least one target"),
        ({"failure_rate": 1.0}, r"expected \[0, 1\)"),
        ({"services": {"a": {}}}, "missing required field `capacity`"),
        ({"qouta": 3}, "unknown field `qouta`"),
    ],
)
def test_a_wrong_cluster_configuration_says_what_to_mend(params: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        cluster(**params)
