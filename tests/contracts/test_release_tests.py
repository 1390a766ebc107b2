"""One suite over every sequential test of a release: error under peeking, symmetry, batch size, replay."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from scipy.stats import binom

from planners.releases.baseline import BeforeAfterTest
from planners.releases.batch import Batch
from planners.releases.config import Kind, MetricSpec
from planners.releases.port import CONTROL_TESTS, SequentialTest, Test

ERROR = 0.05
RUNS = 200
STEPS = 60
# A run beyond this bound happens to a test that keeps its error once in ten thousand seeds.
MOST = int(binom.ppf(1 - 1e-4, RUNS, ERROR))

Rng = np.random.Generator
Arm = Callable[[Rng, int, float], Batch]


def _rate(rng: Rng, size: int, harm: float) -> Batch:
    return Batch(float(rng.binomial(size, 0.02 * (1 + harm))), float(size))


def _count(rng: Rng, size: int, harm: float) -> Batch:
    return Batch(float(rng.poisson(0.02 * size * (1 + harm))), float(size))


def _latency(rng: Rng, size: int, harm: float) -> Batch:
    return Batch(values=tuple(((1 + harm) * rng.lognormal(4.0, 0.5, size)).tolist()))


def _gauge(rng: Rng, size: int, harm: float) -> Batch:
    return Batch(values=((1 + harm) * float(rng.gamma(50.0)),))


def _turn_rate(batch: Batch) -> Batch:
    return Batch(batch.total - batch.count, batch.total)


def _turn_values(batch: Batch) -> Batch:
    return Batch(values=tuple(-value for value in batch.values))


@dataclass(frozen=True)
class Case:
    """How observations are made; `turn` turns harm upwards into harm downwards (None: swapping arms does)."""

    arm: Arm
    harm: float
    turn: Callable[[Batch], Batch] | None = None
    canary: int = 50
    control: int = 200


CASES: dict[Kind, Case] = {
    "rate": Case(_rate, 1.0, _turn_rate),
    "count": Case(_count, 1.0),
    "values": Case(_latency, 0.3, _turn_values),
    "mean": Case(_latency, 0.3, _turn_values),
    "distribution": Case(_latency, 0.5, _turn_values),
    "gauge": Case(_gauge, 0.5, _turn_values),
}
KINDS = sorted(CONTROL_TESTS)


def make(kind: Kind, harm: str = "up", tolerance: float = 0.0) -> SequentialTest:
    spec = MetricSpec(name="m", kind=kind, harm=harm, tolerance=tolerance)  # type: ignore[arg-type]
    return CONTROL_TESTS[kind](spec, 1.0)


def steps(kind: Kind, seed: int, harm: float, count: int = STEPS) -> list[tuple[Batch, Batch]]:
    """Pairs of control and canary; the level that both share wanders like a season."""
    case, rng = CASES[kind], np.random.default_rng(seed)
    return [(case.arm(rng, case.control, 0.0), case.arm(rng, case.canary, harm)) for _ in range(count)]


def ever(kind: Kind, seed: int, harm: float, tolerance: float = 0.0) -> bool:
    """Whether a test that is looked at after every step ever rejects."""
    test = make(kind, tolerance=tolerance)
    for control, canary in steps(kind, seed, harm):
        test.add(control, canary)
        if test.log_harm() >= -np.log(ERROR):
            return True
    return False


def test_every_kind_has_a_case() -> None:
    assert set(CASES) == set(CONTROL_TESTS)


@pytest.mark.parametrize("kind", KINDS)
def test_error_under_peeking(kind: Kind) -> None:
    rejected = sum(ever(kind, seed, harm=0.0) for seed in range(RUNS))
    assert rejected <= MOST


@pytest.mark.parametrize("kind", KINDS)
def test_error_under_peeking_at_the_tolerated_harm(kind: Kind) -> None:
    """The boundary of the null, without slack. A distribution's tolerance is a share, not a size."""
    tolerance = 0.2
    harm = 0.0 if kind == "distribution" else tolerance
    rejected = sum(ever(kind, 1000 + seed, harm, tolerance) for seed in range(RUNS // 2))
    assert rejected <= int(binom.ppf(1 - 1e-4, RUNS // 2, ERROR))


@pytest.mark.parametrize("kind", KINDS)
def test_finds_harm(kind: Kind) -> None:
    assert all(ever(kind, seed, CASES[kind].harm) for seed in range(10))


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_harm_where_there_is_none(kind: Kind) -> None:
    test = make(kind)
    for control, canary in steps(kind, 7, harm=0.0, count=1000):
        test.add(control, canary)
    assert test.log_safe(1) >= -np.log(ERROR)


@pytest.mark.parametrize("kind", KINDS)
def test_does_not_bound_harm_beyond_the_margin(kind: Kind) -> None:
    bounded = 0
    for seed in range(20):
        test = make(kind)
        reached = False
        for control, canary in steps(kind, seed, harm=2.0):
            test.add(control, canary)
            reached = reached or test.log_safe(0) >= -np.log(ERROR)
        bounded += reached
    assert bounded <= int(binom.ppf(1 - 1e-4, 20, ERROR))


@pytest.mark.parametrize("kind", KINDS)
def test_harm_downwards_mirrors_harm_upwards(kind: Kind) -> None:
    turn = CASES[kind].turn
    up, down = make(kind, "up", 0.1), make(kind, "down", 0.1)
    for control, canary in steps(kind, 3, CASES[kind].harm):
        up.add(control, canary)
        if turn is None:
            down.add(canary, control)
        else:
            down.add(turn(control), turn(canary))
        assert down.log_harm() == pytest.approx(up.log_harm())
        assert down.log_safe(0) == pytest.approx(up.log_safe(0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_better_canary_is_no_harm(kind: Kind) -> None:
    test = make(kind)
    for control, canary in steps(kind, 5, CASES[kind].harm):
        test.add(canary, control)
        assert test.log_harm() < -np.log(ERROR)


@pytest.mark.parametrize("harm", [False, True])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "gauge"])
def test_batch_size_does_not_change_the_finding(kind: Kind, harm: bool) -> None:
    """Four steps reported as one: evidence may differ by what ties and weights lose, the finding may not."""
    fine, coarse = make(kind), make(kind)
    pairs = steps(kind, 11, CASES[kind].harm if harm else 0.0)
    for at in range(0, len(pairs), 4):
        control, canary = Batch(), Batch()
        for one_control, one_canary in pairs[at : at + 4]:
            fine.add(one_control, one_canary)
            control, canary = control + one_control, canary + one_canary
        coarse.add(control, canary)
    assert (fine.log_harm() >= -np.log(ERROR)) == (coarse.log_harm() >= -np.log(ERROR)) == harm
    assert coarse.log_harm() == pytest.approx(fine.log_harm(), rel=0.15, abs=1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_values_of_a_step_have_no_order(kind: Kind) -> None:
    one, other = make(kind), make(kind)
    for control, canary in steps(kind, 13, CASES[kind].harm, count=20):
        one.add(control, canary)
        other.add(
            Batch(control.count, control.total, control.values[::-1]),
            Batch(canary.count, canary.total, canary.values[::-1]),
        )
    assert other.log_harm() == pytest.approx(one.log_harm())


@pytest.mark.parametrize("kind", KINDS)
def test_a_stored_test_goes_on_as_if_undisturbed(kind: Kind) -> None:
    whole, stored = make(kind), make(kind)
    for control, canary in steps(kind, 17, CASES[kind].harm, count=30):
        whole.add(control, canary)
        stored.add(control, canary)
        stored = msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=Test)
        assert msgspec.msgpack.encode(stored) == msgspec.msgpack.encode(whole)


@pytest.mark.parametrize("kind", KINDS)
def test_no_data_is_no_evidence(kind: Kind) -> None:
    test = make(kind)
    assert test.log_harm() == pytest.approx(0.0, abs=1e-9)
    assert test.log_safe(0) <= 0.0
    assert test.estimate(ERROR).lower == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_the_interval_holds_the_truth_at_every_look(kind: Kind) -> None:
    """Whatever it is a ratio of (rates, means, odds of the tail), it is 1 where the arms are alike."""
    missed = 0
    for seed in range(100):
        test = make(kind)
        held = True
        for control, canary in steps(kind, 2000 + seed, harm=0.0, count=30):
            test.add(control, canary)
            seen = test.estimate(ERROR)
            held = held and seen.lower <= 1.0 <= seen.upper
        missed += not held
    assert missed <= int(binom.ppf(1 - 1e-4, 100, ERROR))


def test_before_and_after_keeps_its_error_over_500_looks() -> None:
    """Without a control: a past of independent ticks, and 500 more of the same."""
    rejected = 0
    spec = MetricSpec(name="m", kind="gauge")
    for seed in range(RUNS):
        ticks = np.random.default_rng(seed).gamma(50.0, size=620)
        test = BeforeAfterTest.of(spec, 1.0, ticks[:120].tolist())
        for tick in ticks[120:].tolist():
            test.add(tick)
        rejected += test.log_harm() >= -np.log(ERROR)
    assert rejected <= MOST
