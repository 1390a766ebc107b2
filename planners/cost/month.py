"""What a month will have cost, from the rhythm of the weeks so far."""

import math

import msgspec

HOUR_MS = 3_600_000
WEEK_H = 168
DAYS_KEPT = 28
NEWEST = 0.5  # weight of the newest week in an hour's rate
UPPER = 1.2815515655446004  # standard errors to the 0.9 quantile of a normal distribution
UNKNOWN = 0.25  # relative error of a day's spend before two days were seen


class Rhythm(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Spend per hour of the week (0 is Thursday 00:00 UTC, as in 1970), and of the last whole days.

    `hour` is the hour under way (hours since 1970), with its seconds and spend; `day` likewise. An hour of
    the week not seen yet is -1.
    """

    rates: tuple[float, ...] = (-1.0,) * WEEK_H
    hour: int = -1
    hour_s: float = 0.0
    hour_spend: float = 0.0
    day: int = -1
    day_s: float = 0.0
    day_spend: float = 0.0
    days: tuple[float, ...] = ()

    def plus(self, ts: int, elapsed_s: float, spend: float) -> "Rhythm":
        """With `spend` over the `elapsed_s` up to `ts` (Unix ms)."""
        hour, day = ts // HOUR_MS, ts // HOUR_MS // 24
        rates, days = self.rates, self.days
        hour_s, hour_spend, day_s, day_spend = self.hour_s, self.hour_spend, self.day_s, self.day_spend
        if hour != self.hour:
            if hour_s > 0.0:
                rate, at = hour_spend / hour_s * 3_600.0, self.hour % WEEK_H
                rate = rate if rates[at] < 0.0 else NEWEST * rate + (1.0 - NEWEST) * rates[at]
                rates = (*rates[:at], rate, *rates[at + 1 :])
            hour_s = hour_spend = 0.0
        if day != self.day:
            if day_s > 0.9 * 86_400.0:
                days = (*days, day_spend / day_s * 86_400.0)[-DAYS_KEPT:]
            day_s = day_spend = 0.0
        return Rhythm(
            rates=rates, hour=hour, hour_s=hour_s + elapsed_s, hour_spend=hour_spend + spend,
            day=day, day_s=day_s + elapsed_s, day_spend=day_spend + spend, days=days,
        )  # fmt: skip

    def rate(self, hour: int) -> float:
        """Expected spend in an hour: that of the same hour of the week, else of the day, else the mean."""
        if self.rates[hour % WEEK_H] >= 0.0:
            return self.rates[hour % WEEK_H]
        seen = [self.rates[at] for at in range(hour % 24, WEEK_H, 24) if self.rates[at] >= 0.0]
        seen = seen or [rate for rate in self.rates if rate >= 0.0]
        if seen:
            return sum(seen) / len(seen)
        return self.hour_spend / self.hour_s * 3_600.0 if self.hour_s > 0.0 else 0.0

    def day_error(self) -> tuple[float, int]:
        """Standard deviation of a day's spend, and how many days tell it."""
        count = len(self.days)
        if count < 2:
            known = sum(self.days) or 24.0 * self.rate(max(self.hour, 0))
            return UNKNOWN * known, 1
        mean = sum(self.days) / count
        return math.sqrt(sum((each - mean) ** 2 for each in self.days) / (count - 1)), count


class MonthEnd(msgspec.Struct, frozen=True, kw_only=True):
    """Spend at the end of the month: expected, and the value it stays below nine times in ten."""

    expected: float
    upper: float


def month_end(spent: float, rhythm: Rhythm, ts: int, end_ms: int) -> MonthEnd:
    """What will have been spent at `end_ms` (Unix ms), with `spent` at `ts` and the rhythm so far.

    The rest of the month goes on in the rhythm of the week. Its error is that of as many independent days,
    and of their mean, which is known from few.
    """
    first, last = -(-ts // HOUR_MS), -(-end_ms // HOUR_MS)
    part = max(first * HOUR_MS - ts, 0) / HOUR_MS
    rest = part * rhythm.rate(first - 1) + sum(rhythm.rate(hour) for hour in range(first, last))
    days = max(end_ms - ts, 0) / 86_400_000
    error, known = rhythm.day_error()
    spread = UPPER * error * math.sqrt(days + days * days / known)
    return MonthEnd(expected=spent + rest, upper=spent + rest + spread)
