"""The few figures of the worker's metrics that the page shows as numbers."""

from prometheus_client import CollectorRegistry

SUMS = {
    "tidegate_samples_total": "samples",
    "tidegate_records_total": "records",
    "tidegate_dropped_samples_total": "dropped",
    "tidegate_series": "series",
    "tidegate_lag_records": "lag",
    "tidegate_ledger_up": "ledger_up",
}
LATENCY = "tidegate_detect_latency_seconds_bucket"


def meters(registry: CollectorRegistry) -> dict[str, float]:
    """Figures by name, each summed over its labels; one that has no sample yet is absent.

    `latency_p99_s` is the upper bound of the histogram's bucket with the 99th percentile in it.
    """
    found: dict[str, float] = {}
    buckets: list[tuple[float, float]] = []
    for metric in registry.restricted_registry([*SUMS, LATENCY]).collect():
        for sample in metric.samples:
            if sample.name == LATENCY:
                buckets.append((float(sample.labels["le"]), sample.value))
            else:
                name = SUMS[sample.name]
                found[name] = found.get(name, 0.0) + sample.value
    return found | _percentile(buckets, 0.99)


def _percentile(buckets: list[tuple[float, float]], share: float) -> dict[str, float]:
    total = max((count for _, count in buckets), default=0.0)
    if total == 0:
        return {}
    bound = min(bound for bound, count in buckets if count >= share * total)
    return {"latency_p99_s": bound} if bound != float("inf") else {}
