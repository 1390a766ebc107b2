"""One error budget over several metrics."""

import math

from hypothesis import given
from hypothesis import strategies as st

from planners.releases.combine import discovered, loudest, separately, summed

LOGS = st.dictionaries(st.sampled_from("abcdef"), st.floats(-50, 50), min_size=1)


def equal(logs: dict[str, float]) -> dict[str, float]:
    return dict.fromkeys(logs, 1 / len(logs))


@given(LOGS)
def test_the_sum_is_never_weaker_than_bonferroni(logs: dict[str, float]) -> None:
    assert summed(logs, equal(logs)) >= loudest(logs, equal(logs)) - 1e-9


@given(LOGS, st.floats(0.001, 0.5))
def test_what_is_found_separately_is_discovered(logs: dict[str, float], error: float) -> None:
    assert separately(logs, equal(logs), error) <= discovered(logs, equal(logs), error)


@given(LOGS, st.floats(0.001, 0.5))
def test_a_discovery_needs_the_sum_to_reach_the_threshold(logs: dict[str, float], error: float) -> None:
    """So that without harm any discovery at all is as rare as `error`."""
    if discovered(logs, equal(logs), error):
        assert summed(logs, equal(logs)) >= -math.log(error) - 1e-9


def test_nothing_observed_is_no_evidence() -> None:
    assert summed({}, {}) == loudest({}, {}) == -math.inf
    assert discovered({}, {}, 0.01) == separately({}, {}, 0.01) == set()
