"""Before and after: a gauge against its own past, where no control runs beside the release.

The level after the deployment is compared with the level before it, and the rise with those that
`placebo` releases in the past show over the same distance (an interrupted time series with an empirical
null: Box and Tiao 1975, Brodersen et al. 2015). A rise that continues the past's present slope is not harm.

What it cannot know: a season longer than the history, or an incident that coincides with the deployment,
looks like harm. Its error bound leans on the past being typical; only a control arm makes it a guarantee.
"""

import math

import msgspec
import numpy as np

from planners.releases.batch import Estimate
from planners.releases.config import MetricSpec
from planners.releases.placebo import Past, learn_past, trimmed_mean

WINDOWS = (3, 8, 24, 72)
HORIZON = 512


class BeforeAfterTest(msgspec.Struct, tag="before-after"):
    """The past of a gauge and its last values after a deployment, oldest first, one a tick.

    `after` and `past` are turned so that higher is worse. `peak` is the log of the most evidence so far.
    """

    harm: str
    tolerance: float
    margins: tuple[float, ...]
    past: Past
    after: list[float] = msgspec.field(default_factory=list)
    seen: int = 0
    peak: float = 0.0

    @classmethod
    def of(cls, spec: MetricSpec, term_margin: float, before: list[float]) -> "BeforeAfterTest":
        """A test of `spec` against the values `before` the release, oldest first."""
        margins = (spec.margin, max(term_margin, spec.margin))
        return cls(spec.harm, spec.tolerance, margins, learn_past(before, WINDOWS, spec.harm))

    def add(self, value: float) -> None:
        """Learn one value after the deployment."""
        self.after.append(value if self.harm == "up" else -value)
        del self.after[: -WINDOWS[-1]]
        self.seen += 1
        if self.past.long_enough:
            self.peak = max(self.peak, self._log_evidence())

    def log_harm(self) -> float:
        """Log of 1/p, p the chance of such a rise at any look up to `HORIZON` if the past is typical."""
        return self.peak

    def log_safe(self, index: int) -> float:
        """Infinite where the level since the deployment, plus its spread, is within margin `index`.

        A level that the past itself reached in one tick of twenty is within it too.
        """
        if not self.past.long_enough or self.seen < WINDOWS[0]:
            return 0.0
        window = max(known for known in WINDOWS if known <= self.seen)
        risen = self._mean(window) + self.past.spread(window, window) - self.past.level
        allowed = max(self.margins[index] * abs(self.past.level), self.past.high - self.past.level)
        return math.inf if risen <= allowed else 0.0

    def estimate(self, error: float) -> Estimate:
        """The level after to the level before; its interval holds if the past is typical."""
        if not self.past.long_enough or not self.past.level or not self.after:
            return Estimate(1.0, 0.0, math.inf)
        window = max((known for known in WINDOWS if known <= self.seen), default=WINDOWS[0])
        ratio = self._mean(window) / self.past.level
        spread = self.past.spread(window, self.seen) / abs(self.past.level)
        wide = _student_quantile(error / 2, self._freedom(window)) * spread
        return Estimate(ratio, ratio - wide, ratio + wide)

    def words(self) -> str:
        """The two levels."""
        if not self.after:
            return "nothing since the release"
        sign = 1.0 if self.harm == "up" else -1.0
        now = self._mean(WINDOWS[0])
        return f"{sign * now:.4g} now, {sign * self.past.level:.4g} before the release"

    def _log_evidence(self) -> float:
        """Log of 1/p of the window that ends now, the loudest of the window lengths."""
        level = self.past.level
        allowed = self.tolerance * abs(level) + self.past.drift * min(self.seen, self.past.ticks)
        best = 0.0
        for window in WINDOWS:
            if self.seen < window:
                break
            now = self._mean(window)
            rise = now - level - allowed
            if rise > 0 and now > self.past.highest[self.past.windows.index(window)]:
                score = rise / self.past.spread(window, self.seen)
                log_p = _log_student_tail(score, self._freedom(window))
                best = max(best, math.log(_budget(window, self.seen)) - log_p)
        return best

    def _mean(self, window: int) -> float:
        return float(trimmed_mean(np.asarray(self.after[-window:])))

    def _freedom(self, window: int) -> float:
        """Independent windows in the past, within what a Student's t makes a difference for."""
        return min(max(self.past.ticks / (2 * window), 4.0), 5.0)


def _budget(window: int, seen: int) -> float:
    """The part of the error spent on this look: half of it on early looks, half spread over `HORIZON`."""
    early = 0.5 ** (seen // window)
    late = window / HORIZON
    return (0.5 * early + 0.5 * late) / len(WINDOWS)


def _log_student_tail(score: float, freedom: float) -> float:
    """Log of P(T > score) for Student's t, bounded from above.

    P(T > s) <= density(s) * (1 + s²/freedom) * freedom / (freedom - 1) / s:
    the tail integral with u/s >= 1 as a factor. The bound is sharp in the tail; it is capped at a half.
    """
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
