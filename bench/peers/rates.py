"""What the peers reach on the same topics: records/s by name."""

import asyncio
import os
import statistics
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from bench.lab import BenchError, measured
from bench.limit import create_topic
from bench.load import Load, fill
from bench.peers import prepare

JAVA = {
    "changelog": "kafka_streams",
    "cached": "kafka_streams_record_cache",
    "none": "kafka_streams_without_changelog",
}
"""Names by durability. With the record cache, a changelog gets each series once per commit."""

DURABLE = (JAVA["changelog"], JAVA["cached"])
NOT_DURABLE = JAVA["none"]
RIVER = ("faust", "quix_streams", "bytewax")
"""The peers that run River's HalfSpaceTrees on every sample."""

ALL = (*JAVA.values(), *RIVER)


@dataclass(frozen=True)
class Peers:
    """Records/s of each peer, one entry for each time it was measured; why others could not be."""

    measured: dict[str, list[float]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def rates(self) -> dict[str, int]:
        """Medians by name."""
        return {name: round(statistics.median(rates)) for name, rates in self.measured.items()}


def by_kafka_streams(peers: Peers, wanted: Collection[str], address: str, topic: str, records: int) -> None:
    """Run Kafka Streams, in each durability whose name is wanted, on the first `records` of `topic`.

    It is an EWMA z-score per series on one stream thread. A quarter of the records is for warming up.
    """
    for durability, name in JAVA.items():
        if name not in wanted:
            continue
        group = f"peer-{os.urandom(3).hex()}"
        asyncio.run(create_topic(address, f"{group}-out"))
        numbers = [str(records // 4), str(records), durability]
        try:
            rate = _rate([*prepare.java(), address, topic, f"{group}-out", group, *numbers])
        except BenchError as error:
            peers.missing[name] = str(error)
        else:
            peers.measured.setdefault(name, []).append(rate)


def by_python(peers: Peers, wanted: Collection[str], address: str, series: int, steps: int) -> None:
    """Run those wanted of Faust, Quix Streams and Bytewax with a model of River per series.

    A fifth of the records is for warming up.
    """
    topic = f"peers-{os.urandom(3).hex()}"
    asyncio.run(create_topic(address, topic))
    asyncio.run(create_topic(address, f"{topic}-out"))
    asyncio.run(fill(address, topic, Load(series), steps))
    records = series * steps
    for name in (name for name in RIVER if name in wanted):
        numbers = [str(records // 5), str(records)]
        try:
            interpreter = Path(sys.executable) if name == "faust" else prepare.python(name)
            command = [interpreter, "-m", f"bench.peers.{name}_peer", address, topic, f"{topic}-out"]
            rate = _rate([*command, f"{topic}-{name}", *numbers])
        except BenchError as error:
            peers.missing[name] = str(error)
        else:
            peers.measured.setdefault(name, []).append(rate)


def _rate(command: list[str | Path]) -> float:
    with measured(command) as peer:
        warm, done = peer.until("warm"), peer.until("done")
    rate: float = (done["records"] - warm["records"]) / (done["at"] - warm["at"])
    return rate
