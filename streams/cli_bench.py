"""`tidegate bench`: measured figures, each beside its limit or a peer in the same run."""

import json
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from streams.cli_shared import fail

bench = typer.Typer(help="Measured figures, beside their limit in the same run.", no_args_is_help=True)

JsonFile = Annotated[Path | None, typer.Option("--json", help="write the figures here")]
Quick = Annotated[bool, typer.Option("--quick", help="smaller sizes, each once")]


def _measure(name: str, quick: bool, json_file: Path | None) -> None:
    try:
        measure = import_module(f"bench.{name}")  # not part of the installed package
        from bench.lab import BenchError  # noqa: PLC0415
        from tests.kafka.broker import KafkaUnavailableError  # noqa: PLC0415
    except ModuleNotFoundError:
        fail("the benchmarks are in the repository: clone it, run `make setup`, and try again there")
    try:
        figures = measure.measure(measure.QUICK if quick else measure.Size())
    except (BenchError, KafkaUnavailableError) as error:
        fail(str(error))
    text = json.dumps(figures, indent=2)
    print(text)
    if json_file is not None:
        json_file.write_text(text + "\n")


@bench.command("throughput")
def throughput(json_file: JsonFile = None, quick: Quick = False) -> None:
    """Records per second of one worker, beside aiokafka and msgspec alone and other stream processors."""
    _measure("throughput", quick, json_file)


@bench.command("latency")
def latency(json_file: JsonFile = None, quick: Quick = False) -> None:
    """Milliseconds from a sample's production to its anomaly, at half the highest rate."""
    _measure("latency", quick, json_file)


@bench.command("recovery")
def recovery(json_file: JsonFile = None, quick: Quick = False) -> None:
    """Seconds from kill -9 to the first new sample that is scored, with 100 thousand series."""
    _measure("recovery", quick, json_file)


@bench.command("memory")
def memory(json_file: JsonFile = None, quick: Quick = False) -> None:
    """Bytes per series of a worker that holds a million."""
    _measure("memory", quick, json_file)
