"""What a simulated service tells about an interval."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What ran since `since` (Unix ms): its error rate in [0, 1] and its service time in ms (median, p99)."""

    name: str
    since: int
    error_rate: float
    median_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSample:
    """One release's share of an interval: counts of requests, latency in ms."""

    release: str
    percent: float
    requests: int
    errors: int
    latency_p50_ms: float
    latency_p99_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSample:
    """The interval from `ts` (Unix ms) to the next tick, under constant `load`.

    `paid` replicas were asked for, `ready` of them serve. `served` + `unserved` = `load`. `utilisation` is
    the served load over what the ready replicas can serve. `requests`, `errors` (those of the releases;
    unserved load is apart), `error_rate` and latencies are over all `arms`; `release` has the most traffic.
    """

    ts: int
    load: float
    ready: int
    paid: int
    served: float
    unserved: float
    utilisation: float
    requests: int
    errors: int
    error_rate: float
    latency_p50_ms: float
    latency_p99_ms: float
    release: str
    arms: tuple[ArmSample, ...]
