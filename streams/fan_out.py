"""Events that concern series or alerts, on their way to all partitions that may hold these."""

from collections.abc import Iterator

import msgspec

from schemas import Feedback, MaintenanceWindow, Silence, encode
from schemas.control import Control
from streams.ingest.labels import parse_key
from streams.matching import parse_matchers
from streams.output import Output
from streams.record import Record


def passed_on(message: msgspec.Struct, record: Record, partitions: int) -> Iterator[Output]:
    """What goes to each partition: feedback to those of series, silences and windows to those of alerts.

    Raises:
        MatcherError: a silence has a matcher that says nothing.
        SchemaError: feedback is on what is no series.
    """
    if isinstance(message, Feedback):
        parse_key(message.series)
    if isinstance(message, Silence):
        parse_matchers(message.matchers)
    if isinstance(message, Feedback | Silence | MaintenanceWindow):
        topic = "detect-control" if isinstance(message, Feedback) else "alert-control"
        value = encode(Control(partition=record.partition, offset=record.offset, event=message))
        for partition in range(partitions):
            yield Output(topic, record.key or b"", value, partition)
