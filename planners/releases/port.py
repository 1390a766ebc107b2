"""What every sequential test offers, and which test judges which kind of metric."""

from collections.abc import Callable
from typing import Protocol

from planners.releases.baseline import BeforeAfterTest
from planners.releases.batch import Batch, Estimate
from planners.releases.config import Kind, MetricSpec
from planners.releases.counts import CountTest
from planners.releases.distribution import DistributionTest
from planners.releases.means import MeanTest
from planners.releases.paired import PairedTest
from planners.releases.quantiles import QuantileTest
from planners.releases.rates import RateTest


class SequentialTest(Protocol):
    """A test of one metric that may be looked at after every step.

    It is a msgspec Struct, so that a judge can be stored, and its state is all it knows.
    """

    def add(self, control: Batch, canary: Batch) -> None:
        """Learn one step in which both arms had traffic."""

    def log_harm(self) -> float:
        """Log e-value against "harm is within the tolerance"."""

    def log_safe(self, index: int) -> float:
        """Log e-value or log 1/p against "harm is beyond margin `index`"; 0: its own, 1: the term margin."""

    def estimate(self, error: float) -> Estimate:
        """Canary to control, with an interval that holds at every look with probability 1 - `error`."""

    def words(self) -> str:
        """What was seen, for a reader of the verdict."""


Test = RateTest | CountTest | QuantileTest | MeanTest | DistributionTest | PairedTest | BeforeAfterTest
ControlTest = RateTest | CountTest | QuantileTest | MeanTest | DistributionTest | PairedTest

CONTROL_TESTS: dict[Kind, Callable[[MetricSpec, float], ControlTest]] = {
    "rate": RateTest.of,
    "count": CountTest.of,
    "values": QuantileTest.of,
    "mean": MeanTest.of,
    "distribution": DistributionTest.of,
    "gauge": PairedTest.of,
}
