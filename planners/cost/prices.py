"""Prices of a replica-hour: reserved ones first, then spot where it pays, then on demand; and carbon."""

from typing import Annotated, NamedTuple

import msgspec

HOURS = 24


def _key(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class PricesError(ValueError):
    """Prices cannot be used; the text names the field and what was expected."""


class Prices(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a target's replicas cost, all per replica-hour and in one currency of your choice."""

    on_demand: Annotated[float, _key("price of a replica-hour on demand")] = 1.0
    reserved: Annotated[int, _key("replicas that are paid for whether they run or not; used first")] = 0
    reserved_price: Annotated[float, _key("price of a reserved replica-hour")] = 0.6
    spot_price: Annotated[float | None, _key("price of a replica-hour on spot; absent: none is used")] = None
    spot_share: Annotated[float, _key("most of the unreserved replicas that may run on spot, 0 to 1")] = 0.5
    spot_interruptions: Annotated[float, _key("interruptions of a spot replica per hour")] = 0.05
    power_kw: Annotated[float, _key("power that a replica draws, in kilowatts")] = 0.0
    carbon_g_per_kwh: Annotated[
        tuple[float, ...], _key("carbon intensity: one number, or 24 by the hour of the day (UTC)")
    ] = (0.0,)
    carbon_price: Annotated[float, _key("price of a tonne of CO2")] = 0.0

    def __post_init__(self) -> None:
        amounts = {name: getattr(self, name) for name in self.__struct_fields__ if name != "carbon_g_per_kwh"}
        for name, value in amounts.items():
            if value is not None and not 0.0 <= value < float("inf"):
                raise PricesError(f"{name} is {value}, expected a number of zero or more")
        if not self.on_demand > 0.0:
            raise PricesError("on_demand is 0, expected a positive number")
        if self.spot_share > 1.0:
            raise PricesError(f"spot_share is {self.spot_share}, expected 0 to 1")
        if len(self.carbon_g_per_kwh) not in (1, HOURS):
            raise PricesError(f"carbon_g_per_kwh has {len(self.carbon_g_per_kwh)} numbers, expected 1 or 24")
        if not all(0.0 <= value < float("inf") for value in self.carbon_g_per_kwh):
            raise PricesError("carbon_g_per_kwh has a number that is not zero or more")


class Risk(NamedTuple):
    """What an interruption costs: the start-up time of the replacement (s), the penalty of a replica-hour."""

    startup_s: float
    penalty: float


class Hourly(NamedTuple):
    """What running some replicas for an hour costs; `carbon_kg` of CO2 are `carbon_cost` at their price."""

    spend: float
    carbon_kg: float
    carbon_cost: float


def spot_pays(prices: Prices, risk: Risk) -> bool:
    """Whether spot is cheaper than on demand once its interruptions are counted.

    Each interruption leaves a replica's load unserved for the start-up time, and its replacement is paid
    while it starts.
    """
    return prices.spot_price is not None and _risky(prices, risk) < prices.on_demand


def _risky(prices: Prices, risk: Risk) -> float:
    assert prices.spot_price is not None  # noqa: S101
    lost_h = prices.spot_interruptions * risk.startup_s / 3_600.0
    return prices.spot_price * (1.0 + lost_h) + lost_h * risk.penalty


def hourly(prices: Prices, risk: Risk, replicas: float, hour: int) -> Hourly:
    """The cost of `replicas` (a mean may have a fraction) for an hour at `hour` of the day (UTC).

    Reserved ones are paid in full. The risk of spot decides whether it is used, and is not spent.
    """
    beyond = max(replicas - prices.reserved, 0.0)
    on_spot = beyond * prices.spot_share if spot_pays(prices, risk) else 0.0
    spend = prices.reserved * prices.reserved_price + (beyond - on_spot) * prices.on_demand
    if on_spot > 0.0 and prices.spot_price is not None:
        again = 1.0 + prices.spot_interruptions * risk.startup_s / 3_600.0
        spend += on_spot * prices.spot_price * again
    carbon_kg = replicas * prices.power_kw * _intensity(prices, hour) / 1_000.0
    return Hourly(spend, carbon_kg, carbon_kg / 1_000.0 * prices.carbon_price)


def marginal(prices: Prices, risk: Risk) -> float:
    """What one replica-hour more costs beyond the reserved ones, risk and mean price of carbon included.

    The price that a planner weighs against the penalty of load that is not served.
    """
    carbon = sum(prices.carbon_g_per_kwh) / len(prices.carbon_g_per_kwh)
    dear = prices.on_demand + prices.power_kw * carbon / 1e6 * prices.carbon_price
    if not spot_pays(prices, risk):
        return dear
    return dear - prices.spot_share * (prices.on_demand - _risky(prices, risk))


def _intensity(prices: Prices, hour: int) -> float:
    return prices.carbon_g_per_kwh[hour % len(prices.carbon_g_per_kwh)]
