"""One full example of each message: what the golden files hold."""

from schemas import (
    Alert,
    Anomaly,
    Command,
    DeadLetter,
    Deployment,
    Evidence,
    Feedback,
    Forecast,
    MaintenanceWindow,
    Message,
    Outcome,
    Place,
    Promote,
    ReleaseChange,
    ReleaseOrder,
    Rollback,
    Sample,
    Scale,
    SetTraffic,
    Signal,
)
from schemas.command import Action

SERIES = 'http_requests_per_second{service="checkout"}'
NOON = 1_700_049_600_000


def _command(action: Action) -> Command:
    return Command(
        id="checkout:1",
        target="checkout",
        sequence=NOON,
        action=action,
        reasons=["p95 of the load ahead is 320.0"],
        issued_at=NOON,
        expires_at=NOON + 300_000,
        key_id="2026-01",
        signature="c2lnbmF0dXJl",
    )


EXAMPLES: dict[str, Message] = {
    "sample": Sample(metric="http_requests_per_second", labels={"service": "checkout"}, ts=NOON, value=41.5),
    "anomaly": Anomaly(
        id="metrics:0:42:9f",
        series=SERIES,
        metric="http_requests_per_second",
        labels={"service": "checkout"},
        target="checkout",
        ts=NOON,
        value=412.0,
        score=0.98,
        expected=40.0,
        lower=30.0,
        upper=50.0,
        evidence=[Evidence(name="level", strength=3.5)],
        detector="tidegate/1",
        produced_at=NOON + 12,
    ),
    "alert": Alert(
        fingerprint="0123456789abcdef",
        state="resolved",
        series=SERIES,
        labels={"service": "checkout"},
        target="checkout",
        severity="warning",
        summary="it is 412, expected about 40",
        anomaly="0123456789abcdef:1",
        anomalies=3,
        started_at=NOON,
        changed_at=NOON + 900_000,
        resolved_at=NOON + 900_000,
        suppressed="flapping",
        runbook="https://example.org/runbook",
    ),
    "signal": Signal(
        target="checkout", series=SERIES, role="load", arm="canary", times=[NOON], values=[41.5], source=3
    ),
    "forecast": Forecast(
        id="checkout:forecast:1",
        target="checkout",
        ts=NOON,
        observed=41.5,
        horizons_ms=[180_000],
        levels=[0.5, 0.99],
        values=[[42.0, 55.5]],
        model="peak",
        skill=0.25,
    ),
    "command-scale": _command(Scale(replicas=5, previous=3)),
    "command-rollback": _command(Rollback(release="v2", to="v1")),
    "command-promote": _command(Promote(release="v2")),
    "command-set-traffic": _command(SetTraffic(release="v2", percent=25.0)),
    "command-place": _command(Place(job="train-7", node="gpu-3", start_at=NOON)),
    "outcome": Outcome(
        command="checkout:1",
        target="checkout",
        kind="scale",
        status="executed",
        detail="checkout: 3 -> 5 replicas",
        actuator="simulated",
        at=NOON + 40,
        attempts=1,
    ),
    "deadletter": DeadLetter(
        topic="metrics",
        partition=2,
        offset=17,
        reason="Expected `float`, got `str` - at `$.value`",
        at=NOON,
        key="Y2hlY2tvdXQ=",
        value="e30=",
        size=2,
        sha256="44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
    ),
    "deployment": Deployment(target="checkout", release="v2", ts=NOON, previous="v1", canary_percent=5.0),
    "maintenance": MaintenanceWindow(
        id="mw-1",
        starts_at=NOON,
        ends_at=NOON + 3_600_000,
        target="checkout",
        matchers={"az": "b"},
        reason="database upgrade",
    ),
    "releaseorder": ReleaseOrder(
        target="checkout", order="abort", ts=NOON, by="ana", reason="wrong build", release="v2"
    ),
    "releasechange": ReleaseChange(
        id=f"checkout:rolled-back:v2@{NOON}",
        target="checkout",
        ts=NOON,
        release="v2",
        what="rolled-back",
        by="tidegate",
        reason="errors is harmful",
        to="v1",
        percent=0.0,
    ),
    "feedback": Feedback(series=SERIES, ts=NOON, verdict="false-alarm", anomaly="metrics:0:42:9f", by="ana"),
}
