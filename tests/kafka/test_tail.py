"""Writing a recorded series to a real Kafka and showing it again."""

from pathlib import Path

import msgspec
import pytest
from aiokafka.admin import NewTopic

from streams.produce import Series, produce
from streams.tail import tail
from tests.kafka.chaos import create_topics

pytestmark = pytest.mark.kafka


async def test_what_produce_writes_tail_shows(kafka: str, prefix: str, tmp_path: Path) -> None:
    topic, connection = f"{prefix}metrics", {"bootstrap_servers": kafka}
    await create_topics(kafka, NewTopic(topic, 3, 1))
    (tmp_path / "load.csv").write_text("ts,value\n1700000000,1.5\n1700000060,2.5\n")
    await produce(tmp_path / "load.csv", connection=connection, series=Series("load", {}), topic=topic)
    shown = [record async for record in tail(topic, connection=connection, follow=False)]
    (written,) = [msgspec.json.decode(record.value or b"") for record in shown]
    assert [(sample["ts"], sample["value"]) for sample in written] == [
        (1_700_000_000_000, 1.5),
        (1_700_000_060_000, 2.5),
    ]
