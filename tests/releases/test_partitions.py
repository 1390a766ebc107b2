"""The conditional laws, against scipy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, hypergeom

from planners.releases.partitions import binomial, hypergeometric

RATIOS = np.log([0.1, 0.5, 1.0, 2.0, 30.0])


@given(st.integers(1, 80), st.integers(1, 80), st.data())
def test_hypergeometric(canary: int, control: int, data: st.DataObject) -> None:
    events = data.draw(st.integers(0, canary + control))
    support = np.arange(max(0, events - control), min(events, canary) + 1)
    mass = hypergeom(canary + control, events, canary).pmf(support)
    expected = np.log((np.exp(np.multiply.outer(RATIOS, support)) * mass).sum(axis=1))
    np.testing.assert_allclose(hypergeometric(RATIOS, events, canary, control), expected, atol=1e-9)


@given(st.integers(1, 60), st.floats(0.01, 0.99))
def test_binomial(events: int, share: float) -> None:
    support = np.arange(events + 1)
    expected = np.log(
        (np.exp(np.multiply.outer(RATIOS, support)) * binom(events, share).pmf(support)).sum(axis=1)
    )
    np.testing.assert_allclose(binomial(RATIOS, events, share), expected, rtol=1e-9, atol=1e-9)


def test_a_million_requests_do_not_overflow() -> None:
    values = hypergeometric(RATIOS, 5_000, 50_000, 950_000)
    assert np.isfinite(values).all()
    assert values[2] == 0.0 or abs(values[2]) < 1e-9
