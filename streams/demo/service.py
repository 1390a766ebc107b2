"""The demo's service: its metrics, as a producer would push them, and the fleet around it."""

from collections.abc import Iterable

import msgspec
import numpy as np

from actuators.simulated import ServiceSample
from schemas import series_key

TARGET = "checkout"
LABELS = {"service": TARGET}
REQUESTS = "http_requests_per_second"
ERRORS = "http_errors_ratio"
LATENCY = "http_latency_p99_ms"
UTILISATION = "cpu_utilisation"
REQUEST_COUNT, ERROR_COUNT = "http_requests", "http_errors"  # since the last sample, by arm
PODS = 40
MALFORMED = (
    b'{"metric":"http_requests_per_second","labels":{"service":"checkout"},"value":',
    b'{"metric":"http_requests_per_second","labels":{"service":"checkout"},"ts":1700000000000,"value":"many"}',
    b"\x00\x01 not JSON at all",
)

LOAD_SERIES = series_key(REQUESTS, LABELS)


def signals(by_arm: bool) -> tuple[str, ...]:
    """The series that the target is scaled and judged by; `by_arm`: those of the control."""
    if not by_arm:
        return LOAD_SERIES, series_key(ERRORS, LABELS), series_key(LATENCY, LABELS)
    control = {**LABELS, "arm": "control"}
    return LOAD_SERIES, *(series_key(metric, control) for metric in (REQUEST_COUNT, ERROR_COUNT, LATENCY))


def service_record(sample: ServiceSample, *, by_arm: bool = False) -> bytes:
    """The service's samples of one tick: a batch in the native format; `by_arm` tells its releases apart."""
    cells: list[tuple[str, dict[str, str], float]] = [
        (REQUESTS, LABELS, sample.load),
        (UTILISATION, LABELS, sample.utilisation),
    ]
    if not by_arm:
        cells += [(ERRORS, LABELS, sample.error_rate), (LATENCY, LABELS, sample.latency_p99_ms)]
        return _batch(sample.ts, cells)
    for name, arm in zip(("control", "canary"), sample.arms, strict=False):
        if arm.percent > 0 or name == "control":
            labels = {**LABELS, "arm": name}
            cells += [(REQUEST_COUNT, labels, arm.requests), (ERROR_COUNT, labels, arm.errors)]
            cells.append((LATENCY, labels, arm.latency_p99_ms))
    return _batch(sample.ts, cells)


class Fleet:
    """Pods beside the service, each with a daily rhythm and noise; some of them fall ill."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._base = self._rng.uniform(0.15, 0.45, PODS)
        self._phase = self._rng.uniform(0, 24, PODS)
        self._ill_until: dict[int, int] = {}

    def fall_ill(self, pod: int, until_ms: int) -> None:
        """From now until `until_ms` the pod's CPU runs hot."""
        self._ill_until[pod] = until_ms

    def record(self, ts: int) -> bytes:
        """The pods' samples at `ts` (Unix ms)."""
        rhythm = 1 + 0.4 * np.sin((ts / 3_600_000 + self._phase) * np.pi / 12)
        usage = self._base * rhythm + self._rng.normal(0, 0.012, PODS)
        for pod, until in self._ill_until.items():
            if ts < until:
                usage[pod] = 0.97
        cells = (
            (UTILISATION, {"pod": f"pod-{pod:02d}"}, float(use)) for pod, use in enumerate(usage.clip(0, 1))
        )
        return _batch(ts, cells)


def _batch(ts: int, samples: Iterable[tuple[str, dict[str, str], float]]) -> bytes:
    return msgspec.json.encode(
        [
            {"metric": metric, "labels": labels, "ts": ts, "value": round(value, 6)}
            for metric, labels, value in samples
        ]
    )
