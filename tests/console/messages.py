"""Messages as the stages write them, with the fields that a test cares about."""

from typing import Any

from schemas import Alert, Anomaly, Cause, Command, DeadLetter, Evidence, Forecast, Incident, Outcome, Scale
from streams.output import Output, output

T0 = 1_700_000_000_000


def anomaly(**fields: Any) -> Output:
    message = Anomaly(
        **{
            "id": "metrics:0:7:abc",
            "series": 'rps{service="checkout"}',
            "metric": "rps",
            "labels": {"service": "checkout"},
            "target": "checkout",
            "ts": T0,
            "value": 91.5,
            "score": 0.99,
            "expected": 40.0,
            "lower": 30.0,
            "upper": 52.0,
            "evidence": [Evidence(name="level", strength=3.2)],
            "detector": "tidegate/1",
            "produced_at": T0,
        }
        | fields
    )
    return output("anomalies", message.series, message)


def alert(**fields: Any) -> Output:
    message = Alert(
        **{
            "fingerprint": "00ff00ff00ff00ff",
            "state": "firing",
            "series": 'rps{service="checkout"}',
            "labels": {"service": "checkout"},
            "target": "checkout",
            "severity": "warning",
            "summary": "rps is 91.5, expected about 40",
            "anomaly": "00ff00ff00ff00ff:1",
            "anomalies": 3,
            "started_at": T0,
            "changed_at": T0,
        }
        | fields
    )
    return output("alerts", message.fingerprint, message)


def incident(**fields: Any) -> Output:
    message = Incident(
        **{
            "fingerprint": "11ff11ff11ff11ff",
            "state": "firing",
            "group": {"rack": "r7"},
            "severity": "warning",
            "summary": "rack r7: 2 series; likeliest cause: rps is 91.5, expected about 40",
            "causes": [
                Cause(
                    series='rps{service="checkout"}',
                    fingerprint="00ff00ff00ff00ff",
                    node="checkout",
                    state="firing",
                    started_at=T0,
                    strength=2.5,
                    reasons=["began first"],
                )
            ],
            "series": 2,
            "firing": 2,
            "started_at": T0,
            "changed_at": T0,
        }
        | fields
    )
    return output("alerts", message.fingerprint, message)


def forecast(**fields: Any) -> Output:
    message = Forecast(
        **{
            "id": f"checkout:{fields.get('ts', T0)}",
            "target": "checkout",
            "ts": T0,
            "observed": 40.0,
            "horizons_ms": [60_000, 120_000],
            "levels": [0.1, 0.5, 0.99],
            "values": [[35.0, 41.0, 50.0], [34.0, 42.0, 55.0]],
            "model": "peak",
            "skill": 0.2,
        }
        | fields
    )
    return output("forecasts", message.target, message)


def scale(replicas: int = 7, previous: int = 5, **fields: Any) -> Output:
    message = Command(
        **{
            "id": f"checkout:scale:{fields.get('issued_at', T0)}",
            "target": "checkout",
            "sequence": fields.get("issued_at", T0),
            "action": Scale(replicas=replicas, previous=previous),
            "reasons": ["load in 2 min is at most 55 at 99 %", "55 / 8 per replica = 7 replicas"],
            "issued_at": T0,
            "expires_at": T0 + 300_000,
        }
        | fields
    )
    return output("commands", message.target, message)


def outcome(**fields: Any) -> Output:
    message = Outcome(
        **{
            "command": f"checkout:scale:{T0}",
            "target": "checkout",
            "kind": "scale",
            "status": "executed",
            "detail": "scaled from 5 to 7",
            "actuator": "simulated",
            "at": T0 + 50,
            "attempts": 1,
        }
        | fields
    )
    return output("outcomes", message.target, message)


def dead(**fields: Any) -> Output:
    message = DeadLetter(
        **{
            "topic": "metrics",
            "partition": 2,
            "offset": 41,
            "reason": "$.value: expected a number, found text",
            "at": T0,
            "key": None,
            "value": "e30=",
            "size": 2,
            "sha256": "00",
        }
        | fields
    )
    return output("dead-letters", message.topic, message)
