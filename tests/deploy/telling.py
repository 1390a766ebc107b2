"""Tells a worker's telemetry of one of everything, so that all its metrics are there."""

from schemas import Rollback
from streams.series_rows import Counts
from streams.telemetry import Telemetry
from tests.console.messages import alert, anomaly, dead, forecast, incident, outcome, scale


def tell_everything(telemetry: Telemetry, counts: Counts | None = None) -> None:
    """One of each output and report; `counts` grows by as much, where given."""
    telemetry.outputs("detect", [anomaly(), dead()])
    telemetry.outputs("alert", [alert(), alert(suppressed="silence"), incident()])
    telemetry.alerting(silences=1, incidents=1)
    telemetry.notified("pager", "sent")
    telemetry.outputs("plan", [forecast(), scale(), scale(action=Rollback(release="v2", to="v1"))])
    telemetry.outputs("act", [outcome()])
    counts = counts if counts is not None else Counts()
    counts.records += 10
    counts.samples += 20
    counts.drop("late", 1)
    counts.feedback["real"] = counts.feedback.get("real", 0) + 1
    counts.moved = 1
    telemetry.detection(0, counts, 12)
    telemetry.checkpoint("detect", 0.02, 2, 4_000)
    telemetry.lag([("metrics", 0, 5)])
    telemetry.ledger(True)
