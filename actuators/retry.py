"""Attempts at a call to a platform, spaced out, until one of them counts."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from actuators.backoff import Backoff
from actuators.errors import ActuationError, Unavailable

T = TypeVar("T")


class AgainError(Exception):
    """An attempt that failed for now.

    `acted` is True where the platform may have acted all the same, `after_s` is what it asked to wait.
    """

    def __init__(self, why: str, *, acted: bool, after_s: float | None = None) -> None:
        super().__init__(why)
        self.acted = acted
        self.after_s = after_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """At most `attempts` attempts. A platform that asks to wait longer than `after_cap_s` is given up.

    With `repeatable` False, an attempt that may have acted is the last one.
    """

    attempts: int
    backoff: Backoff
    after_cap_s: float
    repeatable: bool = True

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        sleep: Callable[[float], Awaitable[None]],
        rng: random.Random,
    ) -> tuple[T, int]:
        """What the first successful attempt returned, and its number from 1.

        Raises:
            Unavailable: none succeeded, or the next one is not allowed; the text has the last reason.
            ActuationError: what an attempt raised for good. Each error carries the number of attempts.
        """
        delays = self.backoff.delays(rng)
        number = 1
        while True:
            try:
                return await attempt(), number
            except AgainError as again:
                after_s = again.after_s or 0.0
                self._last(again, after_s, number)
                await sleep(max(next(delays), after_s))
                number += 1
            except ActuationError as error:
                error.attempts = number
                raise

    def _last(self, again: AgainError, after_s: float, number: int) -> None:
        why = None
        if again.acted and not self.repeatable:
            why = f"{again}; it may have acted, and to repeat it is not safe"
        elif after_s > self.after_cap_s:
            why = f"{again}; asks to wait {after_s:g} s, more than {self.after_cap_s:g} s"
        elif number == self.attempts:
            why = f"{again}, after {number} attempts"
        if why is not None:
            raise Unavailable(why, attempts=number) from again
