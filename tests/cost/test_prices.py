"""Prices, meters and the month's end, against sums done by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planners.cost import Meter, Prices, PricesError, Risk, marginal, month_end, spot_pays, standing
from planners.cost.account import month_of, next_month
from planners.cost.meter import Fleet
from planners.cost.month import MonthEnd, Rhythm
from planners.cost.prices import hourly

RISK = Risk(startup_s=360.0, penalty=6.0)  # a tenth of an hour
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
MONDAY = 1_700_438_400_000  # 2023-11-20 00:00 UTC


def test_reserved_replicas_are_paid_for_whether_they_run_or_not_and_used_first() -> None:
    prices = Prices(on_demand=2.0, reserved=4, reserved_price=1.0)
    assert [hourly(prices, RISK, count, 0).spend for count in (0, 4, 5, 6)] == [4.0, 4.0, 6.0, 8.0]


def test_spot_is_used_where_it_is_cheaper_with_its_interruptions() -> None:
    calm = Prices(on_demand=2.0, spot_price=0.5, spot_share=0.5, spot_interruptions=0.1)
    assert spot_pays(calm, RISK)
    # Two of four on spot, a hundredth of whose hours is paid twice.
    assert hourly(calm, RISK, 4, 0).spend == pytest.approx(2 * 2.0 + 2 * 0.5 * 1.01)
    # A replica more: half of it on demand, half at 0.5 * 1.01 and a hundredth of the penalty.
    assert marginal(calm, RISK) == pytest.approx(0.5 * 2.0 + 0.5 * (0.505 + 0.06))
    restless = Prices(on_demand=2.0, spot_price=0.5, spot_share=0.5, spot_interruptions=3.0)
    assert not spot_pays(restless, RISK)
    assert hourly(restless, RISK, 4, 0).spend == 8.0
    assert marginal(restless, RISK) == 2.0


def test_carbon_is_a_price_by_the_hour_of_the_day() -> None:
    intensities = tuple(100.0 if hour < 12 else 300.0 for hour in range(24))
    prices = Prices(on_demand=1.0, power_kw=0.5, carbon_g_per_kwh=intensities, carbon_price=80.0)
    clean, dirty = hourly(prices, RISK, 10, 3), hourly(prices, RISK, 10, 15)
    assert (clean.carbon_kg, dirty.carbon_kg) == pytest.approx((0.5, 1.5))
    assert dirty.carbon_cost == pytest.approx(1.5 / 1000 * 80)
    assert dirty.spend == 10.0
    assert marginal(prices, RISK) == pytest.approx(1.0 + 0.5 * 200 / 1e6 * 80)


@given(
    st.builds(
        Prices,
        on_demand=st.floats(0.1, 10.0),
        reserved=st.integers(0, 20),
        reserved_price=st.floats(0.0, 10.0),
        spot_price=st.none() | st.floats(0.0, 10.0),
        spot_share=st.floats(0.0, 1.0),
        spot_interruptions=st.floats(0.0, 2.0),
    ),
    st.integers(0, 100),
)
def test_more_replicas_never_cost_less_and_a_planner_s_price_is_never_below_what_is_paid(
    prices: Prices, count: int
) -> None:
    more = hourly(prices, RISK, count + 1, 0).spend - hourly(prices, RISK, count, 0).spend
    assert more >= -1e-9
    if count >= prices.reserved:
        assert more <= marginal(prices, RISK) + 1e-9 <= prices.on_demand + 2e-9


def test_a_fleet_serves_once_its_replicas_have_started() -> None:
    fleet = Fleet(wanted=2, running=2).resized(0, 5, startup_s=120.0)
    fleet, short_s = fleet.until(0, 60_000, need=4.0)
    assert (fleet.running, short_s) == (2, 60.0)
    fleet, short_s = fleet.until(60_000, 180_000, need=4.0)
    assert (fleet.running, short_s) == (5, 60.0)  # the second minute of the start-up
    assert fleet.resized(180_000, 3, 120.0) == Fleet(wanted=3, running=3)
    growing = fleet.resized(180_000, 9, 120.0).resized(240_000, 6, 120.0)
    assert (growing.running, growing.starting) == (5, ((300_000, 1),))  # the youngest went first


def test_breaches_close_together_are_one_incident() -> None:
    meter, prices = Meter(), Prices()
    for minute in range(60):
        short = 60.0 if minute in (10, 13, 40) else 0.0
        meter = meter.plus(
            prices, RISK, ts=MONDAY + 60_000 * minute, elapsed_s=60.0, replicas=3.0, breach_s=short
        )
    assert (meter.incidents, meter.breach_s) == (2, 180.0)
    assert meter.spend == pytest.approx(3.0)


def _rhythm(days: int, of_hour: float = 1.0, weekend: float = 1.0) -> Rhythm:
    rhythm = Rhythm()
    for hour in range(24 * days):
        rate = of_hour * (3.0 if hour % 24 in range(9, 17) else 1.0)
        rate *= weekend if hour // 24 % 7 in (5, 6) else 1.0
        for part in range(1, 5):
            rhythm = rhythm.plus(MONDAY + hour * HOUR_MS + part * HOUR_MS // 4 - 1, 900.0, rate / 4)
    return rhythm


def test_the_month_s_end_follows_the_rhythm_of_the_week() -> None:
    ts = MONDAY + 14 * DAY_MS  # a Monday
    end = month_end(100.0, _rhythm(14, weekend=0.25), ts, ts + 7 * DAY_MS)
    assert end.expected == pytest.approx(100.0 + 5 * 40.0 + 2 * 10.0, rel=0.01)
    assert end.upper > end.expected


def test_a_month_is_surer_the_less_of_it_is_left() -> None:
    rhythm, ts = _rhythm(14, weekend=0.25), MONDAY + 14 * DAY_MS
    spreads = []
    for days in (20, 5, 1):
        end = month_end(0.0, rhythm, ts, ts + days * DAY_MS)
        spreads.append(end.upper - end.expected)
    assert spreads[0] > spreads[1] > spreads[2] > 0.0
    assert month_end(7.0, rhythm, ts, ts).expected == 7.0


def test_a_budget_is_threatened_before_it_is_broken_and_does_not_flap() -> None:
    def at(expected: float, spent: float = 50.0, before: str = "kept", days: int = 5) -> str:
        end = MonthEnd(expected=expected, upper=expected * 1.1)
        return standing(100.0, spent, end, before=before, days_known=days).state  # type: ignore[arg-type]

    assert at(99.0) == "kept"
    assert at(101.0) == "threatened"
    assert at(101.0, days=0) == "kept"  # half a day says nothing about a month
    assert at(99.0, before="threatened") == "threatened"
    assert at(97.0, before="threatened") == "kept"
    assert at(101.0, spent=100.5) == "broken"


@pytest.mark.parametrize(
    ("ts", "begins", "ends"),
    [
        ("2026-02-28T23:59:59", "2026-02-01", "2026-03-01"),
        ("2026-12-31T12:00:00", "2026-12-01", "2027-01-01"),
        ("2024-02-29T00:00:00", "2024-02-01", "2024-03-01"),
    ],
)
def test_months_are_those_of_the_calendar(ts: str, begins: str, ends: str) -> None:
    from datetime import datetime  # noqa: PLC0415

    def ms(text: str) -> int:
        return round(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000)

    begin = month_of(ms(ts))
    assert begin == round(datetime.fromisoformat(f"{begins}T00:00:00+00:00").timestamp() * 1000)
    assert next_month(begin) == round(datetime.fromisoformat(f"{ends}T00:00:00+00:00").timestamp() * 1000)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"on_demand": 0.0}, "on_demand is 0"),
        ({"on_demand": math.nan}, "on_demand is nan"),
        ({"spot_share": 1.5}, "spot_share is 1.5"),
        ({"reserved": -1}, "reserved is -1"),
        ({"carbon_g_per_kwh": (1.0, 2.0)}, "has 2 numbers, expected 1 or 24"),
        ({"carbon_g_per_kwh": (-1.0,)}, "not zero or more"),
    ],
)
def test_prices_that_cannot_be_used_are_named(fields: dict[str, float], told: str) -> None:
    with pytest.raises(PricesError, match=told):
        Prices(**fields)  # type: ignore[arg-type]
