"""What Tidegate set out to reach in speed, state and recovery, beside what is measured.

`make bench`, or `python -m bench.reach [--quick] [--json FILE] [--only NAME,NAME]`.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import latency, memory, recovery, throughput
from bench.lab import BenchError
from bench.peers.rates import DURABLE, NOT_DURABLE, RIVER
from tests.kafka.broker import KafkaUnavailableError

MEASURES: dict[str, Callable[[bool], dict[str, Any]]] = {
    "throughput": lambda quick: throughput.measure(throughput.QUICK if quick else throughput.Size()),
    "latency": lambda quick: latency.measure(latency.QUICK if quick else latency.Size()),
    "recovery": lambda quick: recovery.measure(recovery.QUICK if quick else recovery.Size()),
    "memory": lambda quick: memory.measure(memory.QUICK if quick else memory.Size()),
}


@dataclass(frozen=True)
class Row:
    """One line of the table; `least` and `stretch` are bounds of `figure` in `unit`, `words` says of what."""

    what: str
    unit: str
    figure: float | None
    least: float
    stretch: float | None
    words: str
    upwards: bool = True

    @property
    def met(self) -> str:
        """`stretch`, `yes` or `no`; `-` where nothing was measured."""
        if self.figure is None:
            return "-"
        sign = 1 if self.upwards else -1
        if self.stretch is not None and sign * self.figure >= sign * self.stretch:
            return "stretch"
        return "yes" if sign * self.figure >= sign * self.least else "no"


def rows(figures: dict[str, Any]) -> list[Row]:
    """The table of what was measured; `figures` has the result of each measure by name, some may lack."""
    made: list[Row] = []
    if "throughput" in figures:
        made += _throughput(figures["throughput"])
    if "memory" in figures:
        found = figures["memory"]
        words = (
            f"{found['series']} series, whole process; the model alone {found['model_bytes_per_series']} B"
        )
        size = found["bytes_per_series"] / 1024
        made.append(Row("memory per series", "KiB", round(size, 2), 2.0, 1.0, words, upwards=False))
    if "latency" in figures:
        found = figures["latency"]
        alone = found["kafka_alone_ms"]["p99"]
        words = f"at {found['records_per_s']} records/s; a record through Kafka alone {alone} ms"
        made.append(Row("produce to anomaly, p99", "ms", found["p99_ms"], 50.0, 20.0, words, upwards=False))
    if "recovery" in figures:
        found = figures["recovery"]
        words = f"{found['series']} series; a start without state {found['without_state_s']} s"
        figure = found["first_scored_s"]
        made.append(Row("kill -9 to first new sample scored", "s", figure, 10.0, 3.0, words, upwards=False))
    return made


def _throughput(found: dict[str, Any]) -> list[Row]:
    ours, peers = found["records_per_s"], found["peers"]
    durable = max((peers[name] for name in DURABLE if name in peers), default=None)
    bare = peers.get(NOT_DURABLE)
    # The fastest with its changelog on is the opponent; faster than with it off is the stretch.
    stretch = None if durable is None or bare is None else round(max(1.0, bare / durable), 2)
    river = {name: peers[name] for name in RIVER if name in peers}
    growth = found["growth"]
    many = min(growth.values(), key=lambda each: each["share"])
    made = [
        Row(
            "one-sample records against aiokafka + msgspec", "of limit", found["share_of_limit"], 0.5, 0.7,
            f"{ours} records/s, limit {found['limit_records_per_s']}",
        ),
        Row(
            "against Kafka Streams, changelog on", "x", _times(ours, durable), 2.0, stretch,
            f"{durable} records/s, without changelog {bare}",
        ),
        Row(
            "against Faust, Quix Streams, Bytewax", "x", _times(ours, max(river.values(), default=None)),
            40.0, 100.0, ", ".join(f"{name} {rate}" for name, rate in river.items()) + " records/s",
        ),
        Row(
            "records of 100 samples against one-sample records", "x", found["batched"]["times_single"],
            3.0, 6.0, f"{found['batched']['samples_per_s']} samples/s",
        ),
        Row(
            "cost growth", "of 1 thousand series", many["share"], 0.7, 0.9,
            ", ".join(f"{series} series {each['samples_per_s']}/s" for series, each in growth.items()),
        ),
    ]  # fmt: skip
    if workers := found["workers"]:
        words = f"{workers.get('one_records_per_s')} and {workers.get('two_records_per_s')} records/s"
        made.append(Row("two workers on two cores against one", "x", workers.get("ratio"), 1.8, None, words))
    return made


def _times(ours: float, peer: float | None) -> float | None:
    return None if peer is None else round(ours / peer, 2)


def show(made: list[Row], to: Console) -> None:
    """Print the table."""
    table = Table("what", "measured", "at least", "stretch", "met", "figures")
    for row in made:
        bounds = ("" if bound is None else f"{bound:g}" for bound in (row.least, row.stretch))
        figure = "not measured" if row.figure is None else f"{row.figure:g} {row.unit}"
        table.add_row(row.what, figure, *bounds, row.met, row.words)
    to.print(table)


def main() -> None:
    """Measure everything, print the table, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, each once")
    parser.add_argument("--json", type=Path, help="write table and figures here")
    parser.add_argument("--only", default=",".join(MEASURES), help="some of these, separated by commas")
    options = parser.parse_args()
    console, figures, failed = Console(), {}, {}
    for name in options.only.split(","):
        console.print(f"measuring {name} ...")
        try:
            figures[name] = MEASURES[name](options.quick)
        except (BenchError, KafkaUnavailableError) as error:  # the others are worth having all the same
            failed[name] = str(error)
            console.print(f"{name} failed: {error}", markup=False)
    made = rows(figures)
    show(made, console)
    if options.json is not None:
        table = [asdict(row) | {"met": row.met} for row in made]
        everything = {"table": table, "figures": figures, "failed": failed}
        options.json.write_text(json.dumps(everything, indent=2) + "\n")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
