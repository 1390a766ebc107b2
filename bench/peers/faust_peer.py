"""A plain Faust agent as a peer: `python -m bench.peers.faust_peer BROKER IN OUT GROUP WARM RECORDS`."""

import asyncio
import json
import sys
from typing import Any

import faust

from bench.peers.half_space_trees import Models


def build(broker: str, source: str, sink: str, group: str, models: Models) -> faust.App:
    """The app: one agent, one event per record, JSON values, anomalies to `sink`."""
    app = faust.App(
        group, broker=f"kafka://{broker}", value_serializer="json", web_enabled=False,
        topic_disable_leader=True, consumer_auto_offset_reset="earliest",
    )  # fmt: skip
    out = app.topic(sink)

    @app.agent(app.topic(source))
    async def detect(stream: Any) -> None:
        async for sample in stream:
            anomaly = models.take(sample)
            if anomaly is not None:
                await out.send(value=json.dumps(anomaly))

    return app


async def _main() -> None:
    broker, source, sink, group, warm, records = sys.argv[1:]
    app = build(broker, source, sink, group, Models(int(warm), int(records)))
    await app.start()
    await asyncio.to_thread(sys.stdin.read)
    await app.stop()


if __name__ == "__main__":
    asyncio.run(_main())
