"""Bytewax as a peer: `python -m bench.peers.bytewax_peer BROKER IN OUT GROUP WARM RECORDS`."""

import json
import sys

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage, KafkaSource
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main

from bench.peers.half_space_trees import Models


def main() -> None:
    """Run to the end of the topic."""
    broker, source, sink, _, warm, records = sys.argv[1:]
    models = Models(int(warm), int(records))
    flow = Dataflow("peer")
    read = op.input("in", flow, KafkaSource([broker], [source], tail=False, batch_size=1000))
    samples = op.map("decode", read, lambda message: json.loads(message.value))
    anomalies = op.filter_map("detect", samples, models.take)
    out = op.map("encode", anomalies, lambda each: KafkaSinkMessage(None, json.dumps(each).encode()))
    kop.output("out", out, brokers=[broker], topic=sink)
    cluster_main(flow, [], 0)


if __name__ == "__main__":
    main()
