"""Prometheus metrics of the receiver, read from the tenants' own counts when they are asked for."""

from collections.abc import Iterable

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.receive.intake import Intake


class Figures(Collector):
    """What the receiver has done so far, by tenant."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def collect(self) -> Iterable[Metric]:
        """The metrics as they are now."""
        samples = CounterMetricFamily(
            "tidegate_receive_samples", "Samples received and answered for.", labels=["tenant"]
        )
        refused = CounterMetricFamily(
            "tidegate_receive_refused_samples", "Samples of series that break a limit.", labels=["tenant"]
        )
        dropped = CounterMetricFamily(
            "tidegate_receive_dropped_samples", "Samples that are not used.", labels=["tenant", "reason"]
        )
        requests = CounterMetricFamily(
            "tidegate_receive_requests", "Requests over HTTP.", labels=["tenant", "code"]
        )
        series = GaugeMetricFamily("tidegate_receive_series", "Live series.", labels=["tenant"])
        for tenant in self._intake.tenants.values():
            counts = tenant.counts
            samples.add_metric([tenant.name], counts.samples)
            refused.add_metric([tenant.name], counts.refused)
            series.add_metric([tenant.name], len(tenant))
            for reason, count in counts.dropped.items():
                dropped.add_metric([tenant.name, reason], count)
            for code, count in counts.requests.items():
                requests.add_metric([tenant.name, code], count)
        records = CounterMetricFamily("tidegate_receive_records", "Records written to `metrics`.")
        records.add_metric([], self._intake.records)
        in_flight = GaugeMetricFamily("tidegate_receive_in_flight_bytes", "Bytes not yet in Kafka.")
        in_flight.add_metric([], self._intake.in_flight)
        return [samples, refused, dropped, requests, series, records, in_flight]
