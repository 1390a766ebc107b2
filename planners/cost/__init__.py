"""What replicas cost: reserved, spot and on demand, carbon, the month's end, and the budget."""

from planners.cost.account import STATIC, Account, advance, fleets, opened
from planners.cost.budget import Standing, standing
from planners.cost.meter import Meter
from planners.cost.month import MonthEnd, month_end
from planners.cost.prices import Prices, PricesError, Risk, marginal, spot_pays

__all__ = [
    "STATIC",
    "Account",
    "Meter",
    "MonthEnd",
    "Prices",
    "PricesError",
    "Risk",
    "Standing",
    "advance",
    "fleets",
    "marginal",
    "month_end",
    "opened",
    "spot_pays",
    "standing",
]
