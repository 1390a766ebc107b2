"""One measured value of one series."""

from collections.abc import Mapping

import msgspec

from schemas.message import Message


class Sample(Message, frozen=True, kw_only=True, tag="sample/1"):
    """A metric's value at a moment.

    `ts` is Unix time in milliseconds, or RFC 3339 text; where it is absent the record's own Kafka
    timestamp counts. A series is the metric plus its sorted labels. `value` is None where the
    producer wrote null: a missing sample, not a zero.
    """

    metric: str
    value: float | None
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    ts: int | str | None = None


def series_key(metric: str, labels: Mapping[str, str]) -> str:
    """Name of a series, as Prometheus writes it, labels sorted.

    >>> series_key("http_requests_per_second", {"service": "checkout", "az": "b"})
    'http_requests_per_second{az="b",service="checkout"}'
    >>> series_key("up", {})
    'up'
    """
    if not labels:
        return metric
    pairs = ",".join(f'{name}="{_escape(labels[name])}"' for name in sorted(labels))
    return f"{metric}{{{pairs}}}"


def _escape(text: str) -> str:
    if "\\" not in text and '"' not in text and "\n" not in text:
        return text
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
