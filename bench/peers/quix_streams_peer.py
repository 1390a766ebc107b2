"""Quix Streams as a peer: `python -m bench.peers.quix_streams_peer BROKER IN OUT GROUP WARM RECORDS`."""

import sys
import tempfile

from quixstreams import Application

from bench.peers.half_space_trees import Models


def main() -> None:
    """Run until all records are taken."""
    broker, source, sink, group, warm, records = sys.argv[1:]
    models = Models(int(warm), int(records))
    with tempfile.TemporaryDirectory() as state:
        app = Application(
            broker_address=broker, consumer_group=group, auto_offset_reset="earliest", state_dir=state,
            loglevel="WARNING",
        )  # fmt: skip
        stream = app.dataframe(app.topic(source, value_deserializer="json"))
        stream = stream.apply(models.take)
        stream = stream.filter(lambda anomaly: anomaly is not None)
        stream.to_topic(app.topic(sink, value_serializer="json"))
        app.run(count=int(records))


if __name__ == "__main__":
    main()
