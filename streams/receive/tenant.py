"""One tenant's series: found by what its producer calls them, made when first met, forgotten when silent."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import msgspec

from schemas import series_key
from streams.config.receive import ReceiveConfig, TenantConfig
from streams.ingest.labels import refusal
from streams.ingest.limits import Limits
from streams.receive.relabel import Relabelling
from streams.receive.series import (
    Bucket,
    Buckets,
    Counter,
    Dropped,
    Emitter,
    Gauge,
    Histogram,
    Quantiles,
    Series,
)
from streams.receive.widest import widest

Kind = Literal["gauge", "counter", "histogram", "summary"]
NAME = "__name__"
PATIENCE_TO_EXPLAIN_S = 10.0  # which label explodes is looked up at most so often

S = TypeVar("S")


class Refusal(Exception):  # noqa: N818 - not an error of the program
    """A series is not taken; the text says why and what to do."""


@dataclass(slots=True)
class Usage:
    """How much of its rate a tenant has left: a bucket of one second's worth that fills as time goes."""

    per_s: float
    left: float = 0.0
    at: float = 0.0

    def wait_s(self, now: float, samples: int) -> float:
        """Take `samples` out; or leave them, and say how many seconds to wait. `now` in seconds.

        A request of more than a second's worth passes when the bucket is full.
        """
        self.left = min(self.per_s, self.left + (now - self.at) * self.per_s)
        self.at = now
        needed = min(samples, self.per_s)
        if self.left < needed:
            return (needed - self.left) / self.per_s
        self.left -= samples
        return 0.0


@dataclass(slots=True)
class Counts:
    """What a tenant has pushed, since the start."""

    samples: int = 0
    refused: int = 0
    requests: dict[str, int] = field(default_factory=dict)  # by answer
    dropped: dict[str, int] = field(default_factory=dict)


class Tenant:
    """The series of one tenant. `partition_of` tells the partition of a series key, `monotonic` seconds."""

    def __init__(
        self,
        config: ReceiveConfig,
        tenant: TenantConfig | None,
        *,
        name: str,
        partition_of: Callable[[str], int],
        monotonic: Callable[[], float],
    ) -> None:
        self.name = name
        self.counts = Counts()
        self.usage = Usage(tenant.samples_per_s) if tenant and tenant.samples_per_s else None
        self.most = (tenant.max_series if tenant else None) or config.max_series
        self._labels = dict(tenant.labels) if tenant else {}
        self._config = config
        self._relabel = Relabelling(config.relabel)
        self._limits = Limits(
            max_labels=config.max_labels,
            max_label_name=config.max_label_name,
            max_label_value=config.max_label_value,
        )
        self._partition_of = partition_of
        self._monotonic = monotonic
        self._kinds: dict[str, Kind] = {}
        self._names: dict[Any, bytes] = {}  # what a producer calls a series: its identity
        self._series: dict[bytes, Any] = {}
        self._of_metric: dict[str, list[bytes]] = {}
        self._buckets: dict[bytes, Buckets] = {}
        self._dropped = Dropped()
        self._explained: tuple[float, str] = (float("-inf"), "")
        self._age = 0

    def __len__(self) -> int:
        """How many series are live."""
        return len(self._series)

    # -- finding ---------------------------------------------------------------------------------

    def find(self, name: Any) -> Series | None:
        """The series that its producer calls `name` (anything hashable), None where it has not been met."""
        identity = self._names.get(name)
        if identity is None:
            return None
        found: Series | None = self._series.get(identity) if identity else self._dropped
        if found is not None:
            found.seen = self._age
        return found

    def add(self, name: Any, labels: Mapping[str, str], kind: Kind | None = None) -> Series:
        """The series of these labels (`__name__` among them), from now on found by `name`.

        Without `kind`, what is known of the metric decides, then its name, by Prometheus's conventions.

        Raises:
            Refusal: it breaks a limit.
        """
        made: Series = self._met(name, labels, b"", lambda metric, kept: self._make(metric, kept, kind))
        return made

    def add_histogram(self, name: Any, labels: Mapping[str, str]) -> Histogram:
        """As `add`, for a histogram that comes whole."""
        made: Histogram = self._met(name, labels, b"h", self._histogram)
        return made

    def _met(
        self, name: Any, labels: Mapping[str, str], mark: bytes, make: Callable[[str, dict[str, str]], Any]
    ) -> Any:
        if len(self._names) >= 4 * self.most:  # names of what was dropped or called twice
            self._names.clear()
        kept = self._relabel(dict(labels))
        if kept is None:
            self._names[name] = b""
            return self._dropped
        kept |= self._labels
        metric = kept.pop(NAME, "")
        if fault := refusal(metric, kept, self._limits):
            raise Refusal(f"series {series_key(metric, kept)[:256]}: {fault[1]}")
        identity = mark + msgspec.json.encode([metric, sorted(kept.items())])
        series = self._series.get(identity)
        if series is None:
            if len(self._series) >= self.most:
                raise Refusal(self._too_many())
            series = self._series[identity] = make(metric, kept)
            self._of_metric.setdefault(metric, []).append(identity)
        series.seen = self._age
        self._names[name] = identity
        return series

    def _too_many(self) -> str:
        at, words = self._explained
        if self._monotonic() - at > PATIENCE_TO_EXPLAIN_S:
            words = widest(self._series)
            self._explained = (self._monotonic(), words)
        return (
            f"tenant {self.name} has {len(self._series)} live series, the limit: new ones are refused; "
            f"{words}. Drop that label by receive.relabel, or raise max_series"
        )

    # -- making ----------------------------------------------------------------------------------

    def learn(self, metric: str, kind: Kind) -> None:
        """Note what kind of metric the producer says it is; series taken for something else are made anew."""
        if self._kinds.get(metric) == kind:
            return
        self._kinds[metric] = kind
        for named in (metric, f"{metric}_count", f"{metric}_sum"):
            for identity in self._of_metric.pop(named, ()):
                self._series.pop(identity, None)

    def _make(self, metric: str, labels: dict[str, str], kind: Kind | None) -> Series:
        if metric.endswith("_bucket") and "le" in labels and kind is None:
            return self._bucket(metric, labels)
        if (kind or self._kind_of(metric)) == "counter":
            return self._counter(metric, labels)
        return Gauge(self._emit(metric, labels))

    def _kind_of(self, metric: str) -> Kind:
        if told := self._kinds.get(metric):
            return told
        if metric.endswith("_total"):
            return self._kinds.get(metric.removesuffix("_total"), "counter")
        for suffix in ("_count", "_sum"):
            if metric.endswith(suffix) and self._kinds.get(metric.removesuffix(suffix)) in {
                "histogram",
                "summary",
            }:
                return "counter"
        return "gauge"

    def _counter(self, metric: str, labels: Mapping[str, str]) -> Counter:
        how = self._config.counters
        return Counter(
            None if how == "raw" else self._emit(f"{metric.removesuffix('_total')}_per_second", labels),
            None if how == "rate" else self._emit(metric, labels),
        )

    def _bucket(self, metric: str, labels: dict[str, str]) -> Series:
        how = self._config.histograms
        raw = None if how == "quantiles" else self._emit(metric, labels)
        rest = {name: value for name, value in labels.items() if name != "le"}
        family = metric.removesuffix("_bucket")
        try:
            bound = float(labels["le"])
        except ValueError:
            return Gauge(self._emit(metric, labels))
        self.learn(family, "histogram")
        if how == "raw":
            return Bucket(None, bound, raw)
        identity = msgspec.json.encode([family, sorted(rest.items())])
        buckets = self._buckets.get(identity)
        if buckets is None:
            buckets = self._buckets[identity] = Buckets(self._quantiles(family, rest))
        return Bucket(buckets, bound, raw)

    def _histogram(self, metric: str, labels: Mapping[str, str]) -> Histogram:
        return Histogram(
            self._quantiles(metric, labels),
            Counter(self._emit(f"{metric}_count_per_second", labels), None),
            Counter(self._emit(f"{metric}_sum_per_second", labels), None),
        )

    def _quantiles(self, metric: str, labels: Mapping[str, str]) -> Quantiles:
        return Quantiles(self._emit, metric, labels, self._config.quantiles)

    def _emit(self, metric: str, labels: Mapping[str, str]) -> Emitter:
        return Emitter(metric, labels, self._partition_of(series_key(metric, labels)))

    # -- forgetting ------------------------------------------------------------------------------

    def forget(self) -> int:
        """Forget the series not met since the last call but one; return how many."""
        silent = {identity for identity, series in self._series.items() if series.seen < self._age}
        for identity in silent:
            series = self._series.pop(identity)
            if isinstance(series, Bucket):
                series.leave()
        self._names = {name: identity for name, identity in self._names.items() if identity in self._series}
        self._buckets = {identity: each for identity, each in self._buckets.items() if each.bounds}
        kept = {
            metric: [identity for identity in identities if identity in self._series]
            for metric, identities in self._of_metric.items()
        }
        self._of_metric = {metric: identities for metric, identities in kept.items() if identities}
        self._age += 1
        return len(silent)
