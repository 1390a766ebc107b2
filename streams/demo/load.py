"""The load that the demo's service gets: a generated week, or a recorded trace."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.traces import TraceError, read_trace

MINUTE_MS = 60_000
DAY = 1_440  # minutes


class Load(NamedTuple):
    """Requests per second at ascending times (Unix ms); a value holds until the next time."""

    name: str
    times: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def step_ms(self) -> int:
        """The usual distance of two times."""
        return int(np.median(np.diff(self.times)))


def generated_week(end_ms: int, seed: int) -> Load:
    """A web shop's week, minute by minute, that ends at `end_ms`.

    Two daily peaks, a quieter weekend, growth of 5 % over the week, noise whose size follows the load,
    and on the last day a flash crowd that doubles the load within minutes.
    """
    rng = np.random.default_rng(seed)
    minutes = 7 * DAY
    times = end_ms - end_ms % MINUTE_MS + MINUTE_MS * np.arange(1 - minutes, 1, dtype=np.int64)
    hour = times / 3_600_000 % 24
    weekday = (times // 86_400_000 + 3) % 7  # 1970-01-01 was a Thursday; 0 is Monday
    daily = np.exp(-(((hour - 11) / 2.8) ** 2)) + 1.3 * np.exp(-(((hour - 19.5) / 2.2) ** 2))
    base = (90 + 600 * daily) * np.where(weekday >= 5, 0.72, 1.0) * np.linspace(1.0, 1.05, minutes)
    noise = np.exp(0.035 * _smooth(rng.standard_normal(minutes)) + 0.025 * rng.standard_normal(minutes))
    crowd = np.zeros(minutes)
    start = minutes - DAY // 3
    since = np.arange(minutes - start)
    crowd[start:] = np.minimum(since / 6, 1.0) * np.exp(-np.maximum(since - 25, 0) / 20)
    return Load("a generated week", times, base * noise * (1 + crowd))


def _smooth(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slow wandering of unit variance."""
    kernel = np.exp(-np.arange(60) / 15)
    slow = np.convolve(noise, kernel)[: len(noise)]
    scaled: NDArray[np.float64] = slow / slow.std()
    return scaled


def recorded(path: Path) -> Load:
    """The load in a CSV of time and value; rows without a value or out of order are left out.

    Raises:
        TraceError: the file is not such a CSV, or holds less than an hour of load.
    """
    trace = read_trace(path)
    keep = np.isfinite(trace.values)
    times, values = trace.times[keep], np.maximum(trace.values[keep], 0.0)
    newest = np.maximum.accumulate(times) if len(times) else times
    ascending = np.r_[True, times[1:] > newest[:-1]] if len(times) else np.zeros(0, np.bool_)
    times, values = times[ascending], values[ascending]
    if len(times) < 10 or times[-1] - times[0] < 3_600_000:
        raise TraceError(f"{path}: the demo needs an hour of load at least, with ten values or more")
    if values.max() <= 0:
        raise TraceError(f"{path}: the load is zero throughout")
    return Load(path.name, times, values)
