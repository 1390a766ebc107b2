import math

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from schemas import Rollback
from streams.output import Output
from streams.series_rows import Counts
from streams.telemetry import Telemetry
from tests.console.messages import T0, alert, anomaly, dead, forecast, outcome, scale


class Seen:
    """Telemetry on a registry of its own, and what a scrape of it shows."""

    def __init__(self, now: int = T0) -> None:
        self.registry = CollectorRegistry()
        self.now = now
        self.telemetry = Telemetry(self.registry, clock=lambda: self.now)

    def __getitem__(self, name: str) -> float | None:
        name, _, labels = name.rstrip("}").partition("{")
        wanted = dict(pair.split("=") for pair in labels.split(",") if pair)
        return self.registry.get_sample_value(name, wanted)


def test_what_stages_write_is_counted() -> None:
    seen = Seen()
    rollback = scale(action=Rollback(release="v2", to="v1"), id="checkout:rollback:v2")
    seen.telemetry.outputs("detect", [anomaly(), anomaly(id="other"), alert(), dead()])
    seen.telemetry.outputs("plan", [forecast(), scale(), rollback, dead(topic="events")])
    seen.telemetry.outputs("act", [outcome(), outcome(status="duplicate")])
    assert seen["tidegate_anomalies_total"] == 2
    assert seen["tidegate_alerts_total{state=firing}"] == 1
    assert seen["tidegate_forecasts_total"] == 1
    assert seen["tidegate_commands_total{kind=scale}"] == 1
    assert seen["tidegate_commands_total{kind=rollback}"] == 1
    assert seen["tidegate_outcomes_total{kind=scale,status=executed}"] == 1
    assert seen["tidegate_outcomes_total{kind=scale,status=duplicate}"] == 1
    assert seen["tidegate_dead_letters_total{topic=metrics}"] == 1
    assert seen["tidegate_dead_letters_total{topic=events}"] == 1


def test_counters_of_known_kinds_are_there_from_zero_on() -> None:
    seen = Seen()  # else Prometheus would miss the first rollback and the first failure
    assert seen["tidegate_commands_total{kind=rollback}"] == 0
    assert seen["tidegate_outcomes_total{kind=set-traffic,status=failed}"] == 0
    assert seen["tidegate_alerts_total{state=firing}"] == 0


def test_target_gauges_follow_forecasts_and_scale_commands() -> None:
    seen = Seen()
    seen.telemetry.outputs("plan", [forecast(observed=10.0), forecast(observed=44.0), scale(replicas=9)])
    assert seen["tidegate_target_load{target=checkout}"] == 44.0
    assert seen["tidegate_target_replicas{target=checkout}"] == 9
    assert seen["tidegate_target_forecast{target=checkout,quantile=0.5}"] == 42.0
    assert seen["tidegate_target_forecast{target=checkout,quantile=0.99}"] == 55.0


def test_the_forecast_told_is_that_of_ten_minutes_ahead() -> None:
    seen = Seen()
    values = [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]
    seen.telemetry.outputs("plan", [forecast(horizons_ms=[60_000, 600_000, 3_600_000], values=values)])
    assert seen["tidegate_target_forecast{target=checkout,quantile=0.99}"] == 6.0


def test_a_forecast_without_numbers_leaves_the_gauges_as_they_were() -> None:
    seen = Seen()
    seen.telemetry.outputs("plan", [forecast()])
    seen.telemetry.outputs("plan", [forecast(observed=math.nan, values=[[math.nan, math.nan, math.nan]] * 2)])
    seen.telemetry.outputs("plan", [forecast(horizons_ms=[], values=[])])
    assert seen["tidegate_forecasts_total"] == 3
    assert seen["tidegate_target_load{target=checkout}"] == 40.0
    assert seen["tidegate_target_forecast{target=checkout,quantile=0.5}"] == 42.0


def test_detection_latency_is_from_producing_to_now() -> None:
    seen = Seen(now=T0 + 30)
    ahead, without = anomaly(produced_at=T0 + 5_000), anomaly(produced_at=-1)
    seen.telemetry.outputs("detect", [anomaly(), ahead, without])
    assert seen["tidegate_detect_latency_seconds_count"] == 2
    assert seen["tidegate_detect_latency_seconds_sum"] == pytest.approx(0.03)  # a clock ahead counts as 0


def test_a_message_that_cannot_be_read_is_said_once_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen = Seen()
    broken = Output("outcomes", b"checkout", b"not json")
    seen.telemetry.outputs("act", [broken, broken, outcome()])
    assert seen["tidegate_outcomes_total{kind=scale,status=executed}"] == 1
    assert len(caplog.records) == 1
    assert "outcomes" in caplog.text


def test_cumulative_counts_become_increments() -> None:
    seen = Seen()
    counts = Counts(samples=10, records=4, dropped={"late": 2})
    seen.telemetry.detection(0, counts, 100)
    seen.telemetry.detection(0, counts, 100)
    counts.samples, counts.records, counts.replayed = 15, 5, 3
    counts.drop("late", 1)
    seen.telemetry.detection(0, counts, 120)
    assert seen["tidegate_samples_total"] == 15
    assert seen["tidegate_records_total"] == 5
    assert seen["tidegate_dropped_samples_total{policy=late}"] == 3
    assert seen["tidegate_dropped_samples_total{policy=replayed}"] == 3
    assert seen["tidegate_series{partition=0}"] == 120


def test_counters_never_go_back_when_a_partition_leaves_and_returns() -> None:
    seen = Seen()
    seen.telemetry.detection(0, Counts(samples=10), 5)
    seen.telemetry.detection(1, Counts(samples=1), 6)
    seen.telemetry.held([1])
    assert seen["tidegate_series{partition=0}"] is None
    assert seen["tidegate_series{partition=1}"] == 6
    seen.telemetry.detection(0, Counts(samples=10), 5)  # the new owner's counts begin at zero
    assert seen["tidegate_samples_total"] == 21


def test_gauges_of_a_target_go_when_nothing_is_told_of_it() -> None:
    seen = Seen()
    seen.telemetry.outputs("plan", [forecast(), forecast(target="search"), scale()])
    seen.now += 600_000
    seen.telemetry.outputs("plan", [forecast(target="search")])
    seen.telemetry.held([])
    assert seen["tidegate_target_load{target=checkout}"] == 40.0
    seen.now += 600_000
    seen.telemetry.held([])
    assert seen["tidegate_target_load{target=checkout}"] is None
    assert seen["tidegate_target_replicas{target=checkout}"] is None
    assert seen["tidegate_target_forecast{target=checkout,quantile=0.5}"] is None
    assert seen["tidegate_target_load{target=search}"] == 40.0


def test_a_ledger_that_was_never_asked_is_not_down() -> None:
    assert Seen()["tidegate_ledger_up"] is None


def test_checkpoint_ledger_and_lag() -> None:
    seen = Seen()
    seen.telemetry.checkpoint("detect", 0.2, 3, 9_000)
    seen.telemetry.ledger(False)
    seen.telemetry.lag([("metrics", 0, 12), ("metrics", 1, 0)])
    seen.telemetry.lag([("metrics", 0, 4)])
    assert seen["tidegate_checkpoint_seconds_count{stage=detect}"] == 1
    assert seen["tidegate_checkpoint_blocks_total{stage=detect}"] == 3
    assert seen["tidegate_checkpoint_bytes_total{stage=detect}"] == 9_000
    assert seen["tidegate_ledger_up"] == 0
    assert seen["tidegate_lag_records{topic=metrics,partition=0}"] == 4
    assert seen["tidegate_lag_records{topic=metrics,partition=1}"] is None


def test_label_values_cannot_break_the_exposition() -> None:
    seen = Seen()
    hostile = 'a"} 1\ntidegate_ledger_up 7'
    seen.telemetry.outputs("plan", [forecast(target=hostile)])
    lines = generate_latest(seen.registry).decode().splitlines()
    assert not [line for line in lines if line.startswith("tidegate_ledger_up 7")]
    assert seen.registry.get_sample_value("tidegate_target_load", {"target": hostile}) == 40.0
