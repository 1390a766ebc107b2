"""Replicas by the clock: what is known beforehand and need not be forecast."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class ScheduleError(ValueError):
    """A schedule cannot be followed; the text names the field and what was expected."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At least `min` replicas from `start` to `end` ("08:00" to "20:00") on `days`, local time of `timezone`.

    An `end` at or before `start` lies on the next day; `days` are those on which it starts. Replicas
    asked for at the start serve a start-up time later, so the planner asks that much ahead.
    """

    start: Annotated[str, msgspec.Meta(description="local time from which it holds, such as 08:00")]
    end: Annotated[
        str, msgspec.Meta(description="local time until which it holds; the next day's if earlier")
    ]
    min: Annotated[int, msgspec.Meta(description="fewest replicas meanwhile")]
    days: Annotated[tuple[Day, ...], msgspec.Meta(description="days on which it starts, mon to sun")] = DAYS
    timezone: Annotated[str, msgspec.Meta(description="name of the time zone")] = "UTC"

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            try:
                _minutes(getattr(self, name))
            except ValueError:
                raise ScheduleError(
                    f"{name} is {getattr(self, name)!r}, expected hours and minutes such as 08:00"
                ) from None
        if self.min < 0:
            raise ScheduleError(f"min is {self.min}, expected zero or more")
        if not self.days:
            raise ScheduleError("days is empty, expected at least one of mon to sun")
        try:
            _zone(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ScheduleError(
                f"timezone is {self.timezone!r}, expected a name such as Europe/Berlin or UTC"
            ) from None

    def covers(self, ts: int) -> bool:
        """Whether the Unix ms `ts` lies within."""
        local = datetime.fromtimestamp(ts / 1000.0, UTC).astimezone(_zone(self.timezone))
        minute = local.hour * 60 + local.minute
        start, end = _minutes(self.start), _minutes(self.end)
        today, yesterday = DAYS[local.weekday()], DAYS[(local - timedelta(days=1)).weekday()]
        if start < end:
            return today in self.days and start <= minute < end
        return (today in self.days and minute >= start) or (yesterday in self.days and minute < end)


def scheduled_minimum(schedules: tuple[Schedule, ...], ts: int, startup_s: float) -> int:
    """The most replicas that a schedule asks for now or within the start-up time, 0 without one."""
    moments = (ts, ts + round(startup_s * 1000.0))
    return max((item.min for item in schedules if any(item.covers(at) for at in moments)), default=0)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=256)
def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    if not (len(minutes) == 2 and 0 <= int(hours) <= 24 and 0 <= int(minutes) < 60):
        raise ValueError(text)
    return (int(hours) * 60 + int(minutes)) % 1440
