"""A sample that a detector found anomalous, with what an operator asks about it."""

import msgspec

from schemas.message import Message


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reason for the alarm. `strength` is dimensionless: 1 is the alarm's threshold."""

    name: str
    strength: float


class Anomaly(Message, frozen=True, kw_only=True, tag="anomaly/1"):
    """An alarm on one sample.

    `id` is made from the sample's place in the input, so a replay gives the same one. `ts` is the
    sample's event time and `produced_at` its Kafka timestamp (Unix ms). `score` is in [0, 1];
    `expected`, `lower` and `upper` are in the series' unit, None while the model has no band yet.
    """

    id: str
    series: str
    metric: str
    labels: dict[str, str]
    target: str | None
    ts: int
    value: float
    score: float
    expected: float | None
    lower: float | None
    upper: float | None
    evidence: list[Evidence]
    detector: str
    produced_at: int
