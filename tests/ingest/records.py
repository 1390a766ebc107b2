"""Records as aiokafka delivers them, for the tests of ingest."""

from collections.abc import Sequence

from aiokafka.structs import ConsumerRecord

NOW = 1_700_000_000_000


def record(
    value: bytes | None, *, timestamp: int = NOW, headers: Sequence[tuple[str, bytes]] = (), offset: int = 0
) -> ConsumerRecord:
    """One record of partition 3 of `metrics`."""
    size = -1 if value is None else len(value)
    return ConsumerRecord("metrics", 3, offset, timestamp, 0, b"key", value, None, 3, size, headers)


def records(values: Sequence[bytes | None]) -> list[ConsumerRecord]:
    """One record for each value, offsets from 100."""
    return [record(value, offset=100 + i) for i, value in enumerate(values)]
