"""Requests from usage: safe whatever comes, quick to follow, no less than what ran out of memory."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planners.rightsizing import (
    DecayingHistograms,
    MixtureSizer,
    SizingPolicy,
    UnknownSizerError,
    VpaSizer,
    fit,
    known_sizers,
    make_sizer,
)
from planners.rightsizing.mixture import SizingPolicyError

STEP_S = 300.0
DAY = 288  # samples
MIB = 2.0**20


def requests(sizer: MixtureSizer | VpaSizer, usage: np.ndarray) -> np.ndarray:
    """The request in force at each sample, decided from the ones before it; the first sample's is 0."""
    asked = []
    for number, value in enumerate(usage.tolist()):
        asked.append(sizer.request.value if sizer.request else 0.0)
        sizer.observe(number * STEP_S, value, STEP_S)
    return np.array(asked)


@given(
    values=st.lists(st.floats(0.0, 1e12), min_size=1, max_size=60),
    level=st.floats(0.05, 0.95),
)
def test_a_quantile_lies_within_a_bucket_above_the_exact_one(values: list[float], level: float) -> None:
    histograms = DecayingHistograms((1e18,))
    for number, value in enumerate(values):
        histograms.add(np.zeros(1, dtype=np.int64), float(number), value, 1.0)
    (found,) = histograms.quantiles((0,), (level,))
    exact = max(float(np.quantile(values, level, method="inverted_cdf")), 1e-3)
    assert exact * (1 - 1e-9) <= found <= exact * 1.02 * (1 + 1e-9)


@pytest.mark.parametrize("gap_days", [0, 30, 3_000])
def test_old_samples_fade_by_their_half_life_whatever_the_time_between(gap_days: int) -> None:
    histograms, row = DecayingHistograms((86_400.0,)), np.zeros(1, dtype=np.int64)
    for step in range(100):
        histograms.add(row, step * STEP_S, 100.0, 1.0)
    histograms.add(row, 100 * STEP_S + gap_days * 86_400.0, 1.0, 1.0)
    (median,) = histograms.quantiles((0,), (0.5,))
    assert median == pytest.approx(1.0 if gap_days else 100.0, rel=0.02)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.floats(0.0, 1e9) | st.sampled_from([math.nan, math.inf, -1.0]), min_size=1, max_size=80),
    st.sampled_from(known_sizers()),
)
def test_no_request_without_bounds_around_it_or_above_what_was_ever_used(
    usage: list[float], name: str
) -> None:
    sizer = make_sizer(name)
    most = 0.0
    for number, value in enumerate(usage):
        if name == "vpa" and not 0.0 <= value < math.inf:
            continue
        request = sizer.observe(number * 600.0, value, 600.0)
        most = max(most, value if 0.0 <= value < math.inf else 0.0)
        assert request.lower <= request.value <= request.upper
        assert request.value <= (most if name == "mixture" else 1.15 * 1.02 * max(most, 1e-3)) * (1 + 1e-9)


def test_a_steady_container_gets_what_it_uses_and_not_a_seventh_more() -> None:
    usage = 200.0 + np.random.default_rng(1).normal(0.0, 2.0, 3 * DAY)
    ours, rule = requests(MixtureSizer(SizingPolicy()), usage), requests(VpaSizer(), usage)
    assert 200.0 < ours[-1] < 210.0
    assert rule[-1] > 225.0


def test_a_new_level_is_followed_within_hours_not_days() -> None:
    usage = np.concatenate([np.full(7 * DAY, 100.0), np.full(DAY, 1000.0), np.full(DAY, 100.0)])
    asked = requests(MixtureSizer(SizingPolicy()), usage)
    assert asked[7 * DAY + 24] >= 1000.0  # two hours after it rose
    assert asked[8 * DAY + DAY // 2] <= 200.0  # half a day after it fell


def test_a_nightly_job_is_expected_at_its_hour() -> None:
    rng, day = np.random.default_rng(2), np.full(DAY, 50.0)
    day[24:36] = 800.0  # 02:00 to 03:00
    usage = np.tile(day, 12) + rng.normal(0.0, 1.0, 12 * DAY)
    ours = requests(MixtureSizer(SizingPolicy()), usage)
    last = ours[-DAY:]
    assert last[25:35].min() >= 790.0
    assert np.median(last) < 100.0
    held = np.full(len(usage), STEP_S)
    rule = fit(usage, requests(VpaSizer(), usage), held)
    assert fit(usage, ours, held).shortage < 0.6 * rule.shortage


def test_a_short_history_is_met_with_caution() -> None:
    usage = np.random.default_rng(4).lognormal(3.0, 0.5, DAY // 2)
    careful = MixtureSizer(SizingPolicy(caution=2.0))
    daring = MixtureSizer(SizingPolicy(caution=0.0))
    assert requests(careful, usage)[-1] > requests(daring, usage)[-1]


@pytest.mark.parametrize("name", known_sizers())
def test_after_running_out_of_memory_there_is_room(name: str) -> None:
    sizer = make_sizer(name, "memory")
    for step in range(DAY):
        sizer.observe(step * STEP_S, 300 * MIB, STEP_S)
    before = sizer.request
    assert before is not None
    after = sizer.out_of_memory(DAY * STEP_S, 400 * MIB)
    assert before.value < 400 * MIB
    assert after.value >= 490 * MIB  # 100 MiB more than it used, to a bucket's width
    for step in range(1, DAY):
        sizer.observe((DAY + step) * STEP_S, 300 * MIB, STEP_S)
    if name == "mixture":  # the VPA's floor fades with its histogram
        assert sizer.request is not None
        assert sizer.request.value >= 500 * MIB


def test_what_is_wrong_with_a_policy_is_named() -> None:
    with pytest.raises(SizingPolicyError, match=r"level is 1\.5, expected a number between 0 and 1"):
        SizingPolicy(level=1.5)
    with pytest.raises(UnknownSizerError, match="known are mixture, vpa"):
        make_sizer("best")
    with pytest.raises(UnknownSizerError, match="known are cpu, memory"):
        make_sizer("vpa", "disk")
