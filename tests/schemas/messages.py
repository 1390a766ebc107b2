"""One full example of each message: what the golden files hold."""

from schemas import (
    Alert,
    Anomaly,
    Cause,
    Command,
    Cost,
    DeadLetter,
    Deployment,
    Evidence,
    Feedback,
    Flag,
    FleetCost,
    Forecast,
    Incident,
    KnownEvent,
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
    Silence,
)
from schemas.command import Action
from schemas.control import Control, Tick

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


def _fleet(replica_hours: float, price: float, breaches: int) -> FleetCost:
    return FleetCost(
        replica_hours=replica_hours, spend=replica_hours * price, carbon_kg=1.5, carbon_cost=0.12,
        breach_minutes=3.0 * breaches, incidents=breaches,
    )  # fmt: skip


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
        kind="anomaly",
        strength=3.5,
        annotations={"team": "shop"},
        incident="fedcba9876543210",
    ),
    "incident": Incident(
        fingerprint="fedcba9876543210",
        state="firing",
        group={"rack": "r7"},
        severity="critical",
        summary="rack r7: 400 series; likeliest cause: it is 0, expected about 1",
        causes=[
            Cause(
                series=SERIES,
                fingerprint="0123456789abcdef",
                node="checkout",
                state="firing",
                started_at=NOON,
                strength=3.5,
                reasons=["upstream of cart", "began first", "strongest: 3.5 times its threshold"],
            )
        ],
        series=400,
        firing=399,
        started_at=NOON,
        changed_at=NOON + 60_000,
        resolved_at=None,
        suppressed="maintenance",
        runbook="https://example.org/runbook",
        annotations={"team": "shop"},
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
    "known-event": KnownEvent(
        target="checkout",
        id="autumn-sale",
        starts_at=NOON,
        ends_at=NOON + 7_200_000,
        factor=3.0,
        reason="a sale starts at 18:00",
    ),
    "silence": Silence(
        id="5f2c9a01b7d3",
        matchers=['service="checkout"', 'rack=~"r[12]"'],
        starts_at=NOON,
        ends_at=NOON + 3_600_000,
        by="ana",
        reason="database upgrade",
    ),
    "feedback": Feedback(
        series=SERIES, ts=NOON, verdict="false-alarm", anomaly="metrics:0:42:9f", by="ana", side="above"
    ),
    "control": Control(
        partition=1, offset=17, event=Feedback(series=SERIES, ts=NOON, verdict="missed", by="ana")
    ),
    "tick": Tick(now=NOON),
    "cost": Cost(
        target="checkout",
        month="2026-03",
        mode="shadow",
        since=NOON - 3_600_000,
        ts=NOON,
        fleets={
            "actual": _fleet(12.0, 2.0, breaches=0),
            "hpa": _fleet(10.0, 2.0, breaches=1),
        },
        expected=17_500.0,
        upper=18_200.5,
        budget=18_000.0,
    ),
    "flag": Flag(
        key="new-checkout",
        variants={"off": False, "on": True},
        default="off",
        version=NOON,
        percents={"on": 25.0},
        enabled=True,
        release="v2",
        by="tidegate",
        reason="5 % went well",
    ),
}
