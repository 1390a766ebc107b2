"""A made-up day of one target, as the stages and the demo would tell it to the feed."""

import math
import random

from schemas import Rollback
from streams.console import Feed
from tests.console.messages import T0, alert, anomaly, dead, forecast, outcome, scale

MINUTE = 60_000
AHEAD = (1, 3, 10, 60, 360)  # horizons of the forecasts, in minutes


def usual(minute: int) -> float:
    """The load expected in a minute of the day."""
    day, quarter = minute / 1440 * 2 * math.pi, minute / 360 * 2 * math.pi
    return 220 + 170 * math.sin(day) + 60 * math.sin(quarter)


def play(feed: Feed, target: str = "checkout", minutes: int = 600, start: int = T0) -> None:
    """Load with a daily swing and a burst, forecasts, scaling, an alert, a bad release rolled back."""
    rng = random.Random(4)
    replicas = ready = 4
    for minute in range(minutes):
        ts = start + minute * MINUTE
        expected = usual(minute)
        load = (expected + rng.gauss(0, 9)) * (1.5 if 300 < minute < 330 else 1)
        made = [
            forecast(
                target=target,
                ts=ts,
                observed=load,
                horizons_ms=[ahead * MINUTE for ahead in AHEAD],
                values=[
                    [usual(minute + ahead) + edge * (1 + ahead / 60) for edge in (-28, 0, 40)]
                    for ahead in AHEAD
                ],
            )
        ]
        wanted = max(2, math.ceil((expected + 48) / 60))
        if wanted != replicas:
            command = scale(wanted, replicas, id=f"{target}:scale:{ts}", target=target, issued_at=ts)
            made += [command, outcome(command=f"{target}:scale:{ts}", target=target)]
            ready, replicas = replicas, wanted
        if minute == 305:
            made += [
                anomaly(id=f"{target}:a", target=target, ts=ts, value=load, expected=expected),
                alert(target=target, started_at=ts, changed_at=ts),
                dead(),
            ]
        if minute == 420:
            feed.release(target, ts, "v2")
        if minute == 440:
            rollback = Rollback(release="v2", to="v1")
            made.append(scale(action=rollback, id=f"{target}:rollback", target=target, issued_at=ts))
        feed.outputs("any", made)
        feed.service(target, ts, load, ready, max(ready, replicas))
