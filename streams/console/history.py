"""Recent history of one target, bounded, in event time."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec

from schemas import Anomaly, Command, Forecast, Scale
from streams.console.part import (
    BandPoint,
    DesiredPoint,
    LoadPoint,
    Part,
    Release,
    ServicePoint,
    TargetNow,
)
from streams.horizon import near

Change = tuple[str, Any]  # the field of `Part` it belongs to, and the item


class History:
    """The newest `points` points of each chart, and the newest `recent` marks, of one target."""

    def __init__(self, points: int, recent: int) -> None:
        self.now = TargetNow()
        self._load: deque[LoadPoint] = deque(maxlen=points)
        self._band: deque[BandPoint] = deque(maxlen=points)
        self.ahead: list[BandPoint] = []
        self._desired: deque[DesiredPoint] = deque(maxlen=points)
        self._service: deque[ServicePoint] = deque(maxlen=points)
        self.anomalies: deque[Anomaly] = deque(maxlen=recent)
        self.commands: deque[Command] = deque(maxlen=recent)
        self.releases: deque[Release] = deque(maxlen=recent)

    def forecast(self, forecast: Forecast) -> Iterator[Change]:
        """Take a forecast; yield what is new. One that is not newer than the last changes nothing."""
        if self._load and forecast.ts <= self._load[-1][0]:
            return
        self._load.append((forecast.ts, forecast.observed))
        yield "load", self._load[-1]
        horizon = near(forecast.horizons_ms)
        if horizon is not None and forecast.levels:
            yield from self._edges(forecast, horizon)
        self._tell(ts=forecast.ts, load=forecast.observed, model=forecast.model, skill=forecast.skill)

    def _edges(self, forecast: Forecast, horizon: int) -> Iterator[Change]:
        levels = forecast.levels
        middle = min(range(len(levels)), key=lambda q: abs(levels[q] - 0.5))
        points = [
            (forecast.ts + ms, values[0], values[middle], values[-1])
            for ms, values in zip(forecast.horizons_ms, forecast.values, strict=True)
        ]
        self.ahead = sorted(points)
        if not self._band or points[horizon][0] > self._band[-1][0]:
            self._band.append(points[horizon])
            yield "band", self._band[-1]
        self._tell(levels=(levels[0], levels[-1]), horizon_ms=forecast.horizons_ms[horizon])

    def command(self, command: Command) -> Iterator[Change]:
        """Take a command; yield the new point of the desired replicas, where it scales."""
        self.commands.append(command)
        if not isinstance(command.action, Scale):
            return
        replicas = command.action.replicas
        if not self._desired or command.issued_at > self._desired[-1][0]:
            if not self._desired:  # the chart begins with what was there before the first command
                self._desired.append((command.issued_at - 1, command.action.previous))
                yield "desired", self._desired[-1]
            self._desired.append((command.issued_at, replicas))
            yield "desired", self._desired[-1]
        self._tell(desired=replicas)

    def service(self, ts: int, load: float, ready: int, paid: int) -> Iterator[Change]:
        """Take what the service says of itself; yield it where it is newer than the last."""
        if self._service and ts <= self._service[-1][0]:
            return
        self._service.append((ts, load, ready, paid))
        self._tell(ready=ready, paid=paid, ts=max(ts, self.now.ts or ts))
        if not self._load:
            self._tell(load=load)
        yield "service", self._service[-1]

    def _tell(self, **fields: Any) -> None:
        self.now = msgspec.structs.replace(self.now, **fields)

    def keep(self, points: int) -> None:
        """Keep only the newest `points` points of each chart from now on."""
        self._load = deque(self._load, points)
        self._band = deque(self._band, points)
        self._desired = deque(self._desired, points)
        self._service = deque(self._service, points)

    def fill(self, part: Part) -> None:
        """Put the charts' points into `part`."""
        part.load, part.band, part.ahead = list(self._load), list(self._band), self.ahead
        part.desired, part.service = list(self._desired), list(self._service)
