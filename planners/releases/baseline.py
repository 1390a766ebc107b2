"""Before and after: one target's gauge against its own past, where no control runs beside the release.

A placebo test in time (Abadie, Diamond and Hainmueller 2010 do the same over units; Brodersen et al. 2015
judge an intervention by a forecast from the time before it). The level after the deployment is compared
with the level before it, and the difference with those that the past shows between windows just as far
apart. Noise, autocorrelation, drift and what the past holds of seasons are all in that spread, which
further ahead than the past reaches grows with the square root of the distance, as a random walk's does,
and with the past's present slope.

What it cannot know: a season longer than the history, or an incident that coincides with the deployment,
looks like harm. Its error bound leans on the past being typical; only a control arm makes it a guarantee.
"""

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from planners.releases.batch import Estimate
from planners.releases.config import MetricSpec

Floats = NDArray[np.float64]

WINDOWS = (3, 8, 24, 72)
HORIZON = 512
LEAST_HISTORY = 12
MOST_HISTORY = 1440
_REFERENCE = 60


class BeforeAfterTest(msgspec.Struct, tag="before-after"):
    """The past of a gauge and what came after a deployment, oldest first, one value a tick."""

    harm: str
    tolerance: float
    margins: tuple[float, ...]
    before: list[float]
    after: list[float] = msgspec.field(default_factory=list)
    seen: int = 0
    peak: float = 0.0

    @classmethod
    def of(cls, spec: MetricSpec, bake_margin: float, before: list[float]) -> "BeforeAfterTest":
        """A test of `spec` against the last `MOST_HISTORY` values of `before`."""
        margins = (spec.margin, max(bake_margin, spec.margin))
        return cls(spec.harm, spec.tolerance, margins, before[-MOST_HISTORY:])

    @property
    def has_history(self) -> bool:
        """Whether the past is long enough to know its own spread."""
        return len(self.before) >= LEAST_HISTORY

    def add(self, value: float) -> None:
        """Learn one value after the deployment."""
        self.after = [*self.after[1 - WINDOWS[-1] :], value]
        self.seen += 1
        if self.has_history:
            self.peak = max(self.peak, self._log_evidence())

    def log_harm(self) -> float:
        """Log of 1/p, p the chance of such a rise at any look up to `HORIZON` if the past is typical."""
        return self.peak

    def log_safe(self, index: int) -> float:
        """Infinite where the level since the deployment, plus twice its spread, is within margin `index`."""
        if not self.has_history or not self.after:
            return 0.0
        level = _level(self._before())
        risen = float(np.median(self._after())) + 2 * self._spread(len(self.after), self.seen) - level
        past = float(np.quantile(self._before(), 0.95)) - level
        return math.inf if risen <= max(self.margins[index] * abs(level), past) else 0.0

    def estimate(self, error: float) -> Estimate:
        """The level after to the level before; its interval holds if the past is typical."""
        level = abs(_level(self._before())) if self.before else 0.0
        if not level or not self.after:
            return Estimate(1.0, 0.0, math.inf)
        window = len(self.after)
        sign = 1.0 if self.harm == "up" else -1.0
        ratio = sign * float(np.median(self._after())) / level
        wide = _student_quantile(error / 2, self._freedom(window)) * self._spread(window, self.seen) / level
        return Estimate(ratio, ratio - wide, ratio + wide)

    def words(self) -> str:
        """The two levels."""
        if not self.before or not self.after:
            return "no level yet"
        sign = 1.0 if self.harm == "up" else -1.0
        recent = float(np.median(self._after()[-WINDOWS[0] :]))
        return f"{sign * recent:.4g} now, {sign * _level(self._before()):.4g} before the release"

    def _before(self) -> Floats:
        return (1.0 if self.harm == "up" else -1.0) * np.asarray(self.before)

    def _after(self) -> Floats:
        return (1.0 if self.harm == "up" else -1.0) * np.asarray(self.after)

    def _log_evidence(self) -> float:
        """Log of 1/p of the window that ends now, the loudest of the window lengths."""
        before, after = self._before(), self._after()
        level = _level(before)
        best = 0.0
        for window in WINDOWS:
            if self.seen < window:
                break
            rise = float(np.median(after[-window:])) - level - self.tolerance * abs(level)
            rise -= _drift(before) * min(self.seen, len(before))
            spread = self._spread(window, self.seen)
            if rise <= 0:
                continue
            score = rise / spread if spread else math.inf
            log_p = _log_student_tail(score, self._freedom(window))
            best = max(best, -log_p + math.log(_budget(window, self.seen)))
        return best

    def _spread(self, window: int, lead: int) -> float:
        """How far medians of `window` values were, in the past, from the level `lead` ticks before them."""
        before = self._before()
        reach = max(window, min(lead, len(before) // 3))
        reference = min(_REFERENCE, max(LEAST_HISTORY // 2, len(before) - 2 * reach))
        smoothed = _rolling_median(before, window)
        levels = _rolling_median(before, reference)
        errors = smoothed[reach + reference - window :] - levels[: len(smoothed) - reach - reference + window]
        if len(errors) < 3:
            errors = before - np.median(before)
        robust = 1.4826 * float(np.median(np.abs(errors)))
        spread = max(robust, float(np.sqrt(np.mean(errors**2))), _resolution(before))
        return spread * math.sqrt(max(lead / reach, 1.0))

    def _freedom(self, window: int) -> float:
        return min(max(len(self.before) / (2 * window), 3.0), 30.0)


def _level(before: Floats) -> float:
    return float(np.median(before[-_REFERENCE:]))


def _drift(before: Floats) -> float:
    """The rise per tick over the last reference window, from medians of its halves; falls count as none."""
    recent = before[-_REFERENCE:]
    half = len(recent) // 2
    if half < 3:
        return 0.0
    return max(float(np.median(recent[half:]) - np.median(recent[:half])) / half, 0.0)


def _resolution(before: Floats) -> float:
    """A floor of the spread for a past that never moved: one part in a thousand of its size."""
    return max(1e-3 * float(np.abs(before).max()), 1e-12)


def _rolling_median(values: Floats, window: int) -> Floats:
    if len(values) < window:
        return np.empty(0)
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(values, window), axis=1))


def _budget(window: int, seen: int) -> float:
    """The part of the error spent on this look: half of it on early looks, half spread over `HORIZON`."""
    looks = seen // window
    early = 0.5**looks
    late = window / HORIZON
    return (0.5 * early + 0.5 * late) / len(WINDOWS)


def _log_student_tail(score: float, freedom: float) -> float:
    """Log of P(T > score) for Student's t, bounded from above.

    P(T > s) <= density(s) * (1 + s²/freedom) * freedom / (freedom - 1) / s:
    the tail integral with u/s >= 1 as a factor.

    The bound is sharp in the tail; it is capped at a half.
    """
    if math.isinf(score):
        return -math.inf
    log_density = (
        math.lgamma((freedom + 1) / 2)
        - math.lgamma(freedom / 2)
        - 0.5 * math.log(freedom * math.pi)
        - (freedom + 1) / 2 * math.log1p(score**2 / freedom)
    )
    bound = (
        log_density + math.log1p(score**2 / freedom) + math.log(freedom / (freedom - 1) / max(score, 1e-9))
    )
    return min(bound, -math.log(2))


def _student_quantile(tail: float, freedom: float) -> float:
    """The score whose tail is `tail`, by bisection of the bound above."""
    low, high = 0.0, 1e6
    for _ in range(80):
        middle = (low + high) / 2
        if _log_student_tail(middle, freedom) > math.log(tail):
            low = middle
        else:
            high = middle
    return high
