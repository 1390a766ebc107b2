"""What Kafka's client says while brokers are away, made fit to read."""

import logging
import time
from collections.abc import Callable

OFTEN_S = 30.0


class Seldom(logging.Filter):
    """Lets a message of Kafka's client through once in `every_s`, and says how often it was held back.

    While a broker is away the client tells each of its tries, dozens a second. `clock` gives seconds.
    """

    def __init__(self, every_s: float = OFTEN_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s = every_s
        self._clock = clock
        self._last: dict[str, tuple[float, int]] = {}  # message without its arguments: when told, held since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to tell `record`."""
        if record.name.partition(".")[0] != "aiokafka":
            return True
        kind, now = f"{record.name}:{record.msg}", self._clock()
        told, held = self._last.get(kind, (float("-inf"), 0))
        if now - told < self._every_s:
            self._last[kind] = (told, held + 1)
            return False
        self._last[kind] = (now, 0)
        if held:
            record.msg, record.args = f"{record.getMessage()} (and {held} times before)", ()
        return True
