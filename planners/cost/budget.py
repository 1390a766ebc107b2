"""Whether the month's budget holds, told before it does not."""

from typing import Literal

import msgspec

from planners.cost.month import MonthEnd

BACK = 0.98  # of the budget: the forecast must fall below it before all is well again
WHOLE_DAYS = 1  # of spend that a forecast needs

State = Literal["kept", "threatened", "broken"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """How the budget stands, in a state and in words."""

    state: State
    words: str


def standing(budget: float, spent: float, end: MonthEnd, *, before: State, days_known: int) -> Standing:
    """How a month's `budget` stands, with `spent` so far and the month's end as expected.

    Threatened from the moment that the expected spend exceeds it, until it falls below 98 % of it; broken
    once it is spent. Less than a whole day known says nothing about a month.
    """
    words = f"spent {spent:.2f} of {budget:.2f}; {end.expected:.2f} expected at the month's end"
    words += f", below {end.upper:.2f} nine times in ten"
    if spent > budget:
        return Standing(state="broken", words=f"the month's budget is spent: {words}")
    limit = budget if before == "kept" else BACK * budget
    if days_known >= WHOLE_DAYS and end.expected > limit:
        return Standing(state="threatened", words=f"the month's budget will not last: {words}")
    return Standing(state="kept", words=f"the month's budget lasts: {words}")
