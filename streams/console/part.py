"""What the page is told: everything it shows, or only what is new since it was last told."""

import msgspec

from schemas import Alert, Anomaly, Command, Incident, Outcome
from streams import feedback

LoadPoint = tuple[int, float]
BandPoint = tuple[int, float, float, float]
DesiredPoint = tuple[int, int]
ServicePoint = tuple[int, float, int, int]


class TargetNow(msgspec.Struct, frozen=True, kw_only=True):
    """How a target stands. Times are Unix ms of event time; None is not known (yet).

    `levels` are the quantile levels of the band's lower and upper edge, `horizon_ms` how long before its
    time the band was forecast. `desired` was asked for last, `ready` serve load, `paid` are charged for.
    """

    ts: int | None = None
    load: float | None = None
    desired: int | None = None
    ready: int | None = None
    paid: int | None = None
    model: str | None = None
    skill: float | None = None
    levels: tuple[float, float] | None = None
    horizon_ms: int | None = None


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A dead letter without the refused bytes. `at` is the record's Kafka timestamp (Unix ms)."""

    topic: str
    partition: int
    offset: int
    reason: str
    at: int


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """A release reached a target at `ts` (Unix ms)."""

    target: str
    release: str
    ts: int


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody said of an alarm at `ts`, and what the series' thresholds are multiplied by since."""

    series: str
    ts: int
    verdict: str
    by: str
    below: float
    above: float


class Part(msgspec.Struct, kw_only=True):
    """A snapshot, or an update of one; oldest first in every list.

    `load`, `band`, `desired` and `service` are of `target` only, as (event time in Unix ms, ...): load;
    lower edge, median, upper edge of what was forecast for that time `horizon_ms` before; replicas asked
    for; load, ready and paid replicas of the service. `ahead` is the newest forecast at all its horizons,
    like `band`; it replaces the one before. `counts` are messages by topic since the start. An item of the
    other lists replaces one of the same identity (`id`, `fingerprint`, `command`, `series` and `ts`).
    """

    target: str | None = None
    targets: dict[str, TargetNow] = {}
    load: list[LoadPoint] = []
    band: list[BandPoint] = []
    ahead: list[BandPoint] = []
    desired: list[DesiredPoint] = []
    service: list[ServicePoint] = []
    anomalies: list[Anomaly] = []
    alerts: list[Alert] = []
    incidents: list[Incident] = []
    feedback: list[Heard] = []
    commands: list[Command] = []
    outcomes: list[Outcome] = []
    releases: list[Release] = []
    dead_letters: list[Letter] = []
    counts: dict[str, int] = {}
    meters: dict[str, float] = {}


def heard(told: feedback.Heard) -> Heard:
    """Feedback that a partition has heard, for the page."""
    word = told.word
    return Heard(
        series=word.series, ts=word.ts, verdict=word.verdict, by=word.by,
        below=round(told.below, 3), above=round(told.above, 3),
    )  # fmt: skip
