"""The numbers that autoscalers get: what is expected, and an error where that is not known."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.config import TargetConfig
from streams.scaling import ScaleConfig
from streams.serve.external_metrics import labels_of, quantity
from streams.serve.figures import AskError, Known, StaleError, UnknownError, answer, expected, make_ask
from tests.serve.messages import T0, command, forecast

TARGETS = {
    "checkout": TargetConfig(
        name="checkout", load="rps", scale=ScaleConfig(capacity=25.0, startup_s=120.0, min=2, max=6)
    ),
    "bare": TargetConfig(name="bare"),
}


def asked(known: Known | None, target: str = "checkout", *, now: int = T0, **fields: Any) -> float:
    given_: dict[str, Any] = {
        "metric": "load",
        "quantile": None,
        "horizon_s": None,
        "default_quantile": 0.9,
    } | fields
    return answer(make_ask(TARGETS, target, **given_), known, now, stale_s=900)


KNOWN = Known(forecast=forecast(), command=command(5), heard=T0)


@pytest.mark.parametrize(
    ("fields", "expected_"),
    [
        ({}, 200.0),  # the 0.9 quantile at 120 s, the target's start-up time
        ({"quantile": "0.5"}, 100.0),
        ({"quantile": "0.99", "horizon_s": "60"}, 180.0),
        ({"horizon_s": "90"}, 175.0),  # halfway between 60 and 120 s
        ({"horizon_s": "0"}, 100.0),  # what is there now
        ({"horizon_s": "9999"}, 200.0),
        ({"metric": "replicas"}, 5.0),
    ],
)
def test_what_is_asked_is_told(fields: dict[str, Any], expected_: float) -> None:
    assert asked(KNOWN, **fields) == pytest.approx(expected_)


def test_a_peak_in_between_counts() -> None:
    peaked = forecast(values=[[300.0, 300.0, 300.0], [100.0, 100.0, 100.0]])
    assert asked(Known(forecast=peaked, heard=T0)) == 300.0


@pytest.mark.parametrize(("load", "replicas"), [(10.0, 2), (100.0, 4), (101.0, 5), (1000.0, 6)])
def test_without_a_command_the_forecast_decides_within_the_bounds(load: float, replicas: int) -> None:
    flat = forecast(observed=load, values=[[load] * 3] * 2)
    assert asked(Known(forecast=flat, heard=T0), metric="replicas") == replicas


def test_never_a_zero_for_what_is_not_known() -> None:
    for known in (None, Known(), Known(command=command(5), heard=T0)):
        with pytest.raises(StaleError):
            asked(known)
    with pytest.raises(StaleError, match="for 901 s"):
        asked(KNOWN, now=T0 + 901_000)
    with pytest.raises(UnknownError, match="known: bare, checkout"):
        asked(KNOWN, target="chekout")
    with pytest.raises(UnknownError, match="known: replicas, load"):
        asked(KNOWN, metric="cpu")
    for fields in ({"quantile": "1.5"}, {"quantile": "x"}, {"horizon_s": "-1"}, {"horizon_s": "inf"}):
        with pytest.raises(AskError):
            asked(KNOWN, **fields)
    with pytest.raises(AskError, match="capacity"):
        asked(Known(forecast=forecast(target="bare"), heard=T0), target="bare", metric="replicas")


@settings(deadline=None)  # a shared machine stalls
@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0, 300), st.floats(0, 300))
def test_more_caution_never_tells_less(q1: float, q2: float, h1: float, h2: float) -> None:
    assert expected(forecast(), max(q1, q2), max(h1, h2)) >= expected(forecast(), min(q1, q2), min(h1, h2))


def test_selectors() -> None:
    assert labels_of("") == {}
    assert labels_of("target==checkout, quantile=0.9,horizon in (60)") == {
        "target": "checkout", "quantile": "0.9", "horizon": "60",
    }  # fmt: skip
    for selector in ("target!=checkout", "target in (a,b)", "target", "!target"):
        with pytest.raises(AskError):
            labels_of(selector)


@settings(deadline=None)  # a shared machine stalls
@given(st.floats(0, 1e9))
def test_quantities_lose_nothing(value: float) -> None:
    text = quantity(value)
    back = int(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)
    assert value - 1e-6 * max(1.0, value) <= back <= value + 0.001 + 1e-6 * value
