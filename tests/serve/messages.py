"""Forecasts and commands as the planner writes them."""

from typing import Any

from schemas import Command, Forecast, Scale

T0 = 1_700_000_000_000


def forecast(ts: int = T0, target: str = "checkout", **fields: Any) -> Forecast:
    """100 now; the median stays, the upper quantiles rise to 200 and 400."""
    given = {
        "id": f"{target}:{ts}", "target": target, "ts": ts, "observed": 100.0,
        "horizons_ms": [60_000, 120_000],
        "levels": [0.5, 0.9, 0.99], "values": [[100.0, 150.0, 180.0], [100.0, 200.0, 400.0]], "model": "test",
    }  # fmt: skip
    return Forecast(**(given | fields))


def command(replicas: int, sequence: int = T0, target: str = "checkout") -> Command:
    """A scale command."""
    return Command(
        id=f"{target}:scale:{sequence}", target=target, sequence=sequence,
        action=Scale(replicas=replicas, previous=1), reasons=["a test"],
        issued_at=sequence, expires_at=sequence + 300_000,
    )  # fmt: skip
