"""Records as a consumer would deliver them, without a broker."""

from dataclasses import dataclass, field

import msgspec

from schemas import encode

START = 1_700_049_600_000
MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class FakeRecord:
    """A record of a topic, as `streams.record.Record` describes it."""

    value: bytes | None
    offset: int = 0
    topic: str = "metrics"
    partition: int = 0
    timestamp: int = START
    key: bytes | None = None
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def sample(offset: int, ts: int, value: float, metric: str = "m", **labels: str) -> FakeRecord:
    """One native sample as a record of `metrics`."""
    body = {"metric": metric, "labels": labels, "ts": ts, "value": value}
    return FakeRecord(msgspec.json.encode(body), offset, timestamp=ts)


def message(topic: str, offset: int, body: msgspec.Struct) -> FakeRecord:
    """A message as a record of `topic`."""
    return FakeRecord(encode(body), offset, topic=topic)
