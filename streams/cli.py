"""The command line: `tidegate`."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import typer
from rich.console import Console as Terminal
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams.cli_state import state

if TYPE_CHECKING:
    from streams.config import Config

T = TypeVar("T")

app = typer.Typer(
    name="tidegate",
    help="Anomaly detection, forecasting, autoscaling and rollback on Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
backtest = typer.Typer(
    help="Replay recorded data and write what Tidegate would have done.", no_args_is_help=True
)
app.add_typer(backtest, name="backtest")
app.add_typer(state, name="state")

terminal = Terminal(stderr=True)

OptionalConfig = Annotated[
    Path | None, typer.Option("-c", "--config", help="without it: all defaults, a broker here")
]
ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="the configuration file")]


def main() -> None:
    """Run the command line; expected errors end in one line that says what to do, and exit code 1."""
    from streams.errors import EXPECTED  # noqa: PLC0415 - `tidegate --help` answers without loading the models

    try:
        app()
    except EXPECTED as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """Say what went wrong and exit with code 1."""
    terminal.print(f"[bold red]tidegate:[/] {message}", highlight=False, soft_wrap=True)
    sys.exit(1)


def _run(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _log_to_terminal(verbose: bool) -> None:
    from streams.noise import Seldom  # noqa: PLC0415

    handler = RichHandler(console=terminal, show_path=False, rich_tracebacks=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", datefmt="[%X]", handlers=[handler])
    if not verbose:  # the clients and Faust tell every step at INFO
        handler.addFilter(Seldom())
        for name in ("aiokafka", "faust", "httpx", "mode", "streams.transport"):
            logging.getLogger(name).setLevel(logging.WARNING)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=terminal)


# -- running --------------------------------------------------------------------------------------


@app.command()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="no live view, only the summary")] = False,
    seconds: Annotated[float | None, typer.Option(min=10, help="wall time; default: one day of load")] = None,
    trace: Annotated[Path | None, typer.Option(help="CSV of time and load, not the generated week")] = None,
    report: Annotated[Path | None, typer.Option(help="write the figures here, as JSON")] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="port of the web page; 0: a free one")] = 0,
) -> None:
    """The whole loop on an embedded broker and ledger, against a simulated service."""
    from streams.demo.report import in_words  # noqa: PLC0415
    from streams.demo.run import Demo, Options  # noqa: PLC0415
    from streams.demo.view import watch  # noqa: PLC0415

    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    run = Demo(Options(seconds=seconds, trace=trace, port=port), os.environ)
    result = _run(watch(run, terminal, headless=headless))
    if report is not None:
        result.write(report)
    print(in_words(result))


@app.command()
def worker(
    config: ConfigOption,
    roles: Annotated[str, typer.Option(help="comma-separated: detect, plan, act")] = "detect,plan,act",
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="log the Kafka client too")] = False,
) -> None:
    """A production worker; SIGTERM and Ctrl-C stop it after its state is written."""
    from streams.app import ROLES  # noqa: PLC0415
    from streams.config import read  # noqa: PLC0415
    from streams.worker import Worker  # noqa: PLC0415

    chosen = tuple(role.strip() for role in roles.split(","))
    if unknown := sorted(set(chosen) - set(ROLES)):
        fail(f"--roles: unknown {', '.join(unknown)}; known: {', '.join(ROLES)}")
    _log_to_terminal(verbose)
    _run(_work(Worker(read(config), environ=os.environ, roles=chosen)))


async def _work(running: Any) -> None:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await running.start()
        await running.wait()
    except asyncio.CancelledError:
        logging.getLogger(__name__).info("stopping: writing state")
    finally:
        await running.stop()


@app.command()
def check(config: ConfigOption) -> None:
    """Validate the configuration, reach each component, say what is wrong and how to mend it."""
    from streams.check import examine  # noqa: PLC0415

    findings = _run(examine(config, os.environ))
    for finding in findings:
        mark = "[green]ok[/]  " if finding.good else "[red]bad[/] "
        terminal.print(f"{mark} {finding.what}: {finding.words}", highlight=False, soft_wrap=True)
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


# -- the hands ------------------------------------------------------------------------------------


@app.command()
def pause(
    config: ConfigOption,
    target: Annotated[str | None, typer.Argument(help="the target to leave alone")] = None,
    everything: Annotated[bool, typer.Option("--all", help="stop the hands on everything")] = False,
    reason: Annotated[str, typer.Option(help="why, for those who ask later")] = "",
) -> None:
    """Stop the hands at once, on one target or on everything."""
    from streams.pauses import pause as stop_hands  # noqa: PLC0415

    print(_run(stop_hands(config, _scope(target, everything), reason, os.environ)))


@app.command()
def resume(
    config: ConfigOption,
    target: Annotated[str | None, typer.Argument(help="the target to act on again")] = None,
    everything: Annotated[bool, typer.Option("--all", help="lift the pause on everything")] = False,
) -> None:
    """Lift a pause."""
    from streams.pauses import resume as free_hands  # noqa: PLC0415

    print(_run(free_hands(config, _scope(target, everything), os.environ)))


def _scope(target: str | None, everything: bool) -> str | None:
    if (target is None) != everything:
        fail("name one target, or give --all")
    return target


# -- everyday tools -------------------------------------------------------------------------------


@app.command()
def schema(
    name: Annotated[str | None, typer.Argument(help="a message, or `asyncapi`; default: all")] = None,
) -> None:
    """Print the JSON Schema of the messages, and an AsyncAPI document of all topics."""
    from streams.contract import contract  # noqa: PLC0415

    print(contract(name))


@app.command()
def produce(
    file: Annotated[Path, typer.Argument(help="CSV, first two columns time and value")],
    metric: Annotated[str, typer.Option(help="the metric's name; default: the file's")] = "",
    label: Annotated[list[str] | None, typer.Option(help="name=value, as often as you like")] = None,
    speed: Annotated[float | None, typer.Option(help="event time over wall time; default: at once")] = None,
    now: Annotated[bool, typer.Option("--now", help="move the times so that the first is now")] = False,
    config: OptionalConfig = None,
) -> None:
    """Write a recorded series to `metrics`."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.produce import Series  # noqa: PLC0415
    from streams.produce import produce as run  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    kafka = _configured(config).kafka
    with _bar() as bar:
        task = bar.add_task("samples", total=None)
        written = _run(
            run(
                file,
                connection=client_settings(kafka, os.environ),
                series=Series(metric or file.name.partition(".")[0], _labels(label or [])),
                topic=f"{kafka.prefix}metrics",
                speed=speed,
                start=wall_clock() if now else None,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        )
    print(f"{written.samples} samples in {written.records} records")


def _labels(pairs: list[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not name or not equals:
            fail(f"--label {pair}: expected name=value")
        labels[name] = value
    return labels


@app.command()
def tail(
    topic: Annotated[str, typer.Argument(help="plain name, such as anomalies")],
    last: Annotated[
        int, typer.Option("-n", "--last", min=0, help="records of each partition to begin with")
    ] = 10,
    follow: Annotated[bool, typer.Option(help="go on with new records")] = True,
    raw: Annotated[bool, typer.Option("--raw", help="the records' own bytes, not words")] = False,
    config: OptionalConfig = None,
) -> None:
    """Print the records of a topic as they come, in words."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.tail import line  # noqa: PLC0415
    from streams.tail import tail as run  # noqa: PLC0415

    kafka = _configured(config).kafka

    async def show() -> None:
        connection = client_settings(kafka, os.environ)
        async for record in run(f"{kafka.prefix}{topic}", connection=connection, last=last, follow=follow):
            if raw:
                sys.stdout.buffer.write((record.value or b"") + b"\n")
                sys.stdout.flush()
            else:
                print(line(record), flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        _run(show())


def _configured(path: Path | None) -> "Config":
    from streams.config import Config, read  # noqa: PLC0415

    return read(path) if path else Config()


bench = typer.Typer(help="Measured figures, beside their limit in the same run.", no_args_is_help=True)
app.add_typer(bench, name="bench")


@bench.command("throughput")
def bench_throughput(
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures here")] = None,
    records: Annotated[int, typer.Option(min=100_000, help="one-sample records")] = 1_000_000,
    series: Annotated[int, typer.Option(min=1, help="series they belong to")] = 1_000,
) -> None:
    """Records per second of one worker on a real Apache Kafka, beside aiokafka and msgspec alone."""
    try:
        from bench.throughput import measure  # noqa: PLC0415 - not part of the installed package
    except ModuleNotFoundError:
        fail("the benchmarks are in the repository: clone it, run `make setup`, and try again there")
    figures = measure(records, series)
    print(json.dumps(figures, indent=2))
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")


@backtest.command("detect")
def backtest_detect(
    in_dir: Annotated[Path, typer.Argument(help="folder of CSV files, first two columns time and value")],
    out: Annotated[Path, typer.Option(help="folder for the results, same relative paths")],
    config: OptionalConfig = None,
) -> None:
    """Score each CSV below IN_DIR: timestamp,value,anomaly_score,alarm,expected,lower,upper."""
    from detectors.registry import make_bank  # noqa: PLC0415
    from streams.backtest_detect import backtest as run  # noqa: PLC0415

    chosen = _configured(config).detector
    with _bar() as bar:
        task = bar.add_task("files", total=None)
        run(
            in_dir,
            out,
            lambda: make_bank(
                chosen.model, chosen.params, alarms_per_series_day=chosen.alarms_per_series_day
            ),
            lambda done, total: bar.update(task, completed=done, total=total),
        )


@backtest.command("scale")
def backtest_scale(
    trace: Annotated[Path, typer.Argument(help="CSV of time and load")],
    out: Annotated[Path, typer.Option(help="file for the decisions: ts,replicas")],
    startup: Annotated[float, typer.Option(min=0, help="seconds until a new replica serves")] = 120.0,
    capacity: Annotated[float | None, typer.Option(help="load one replica serves; default: peak/40")] = None,
    least: Annotated[int, typer.Option("--min", min=0, help="fewest replicas")] = 1,
    most: Annotated[int, typer.Option("--max", min=1, help="most replicas")] = 1_000,
    price: Annotated[float | None, typer.Option(min=0, help="cost of a replica-hour")] = None,
    penalty: Annotated[
        float | None, typer.Option(min=0, help="cost of a replica-hour of unserved load")
    ] = None,
) -> None:
    """Replay a load and write when the desired count of replicas would have changed."""
    from streams.backtest_scale import backtest as run  # noqa: PLC0415
    from streams.scaling import ScaleConfig  # noqa: PLC0415

    given = {"price": price, "penalty": penalty}
    costs: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    config = ScaleConfig(startup_s=startup, capacity=capacity, min=least, max=most, **costs)
    with _bar() as bar:
        task = bar.add_task("rows", total=None)
        summary = run(trace, out, config, lambda done, total: bar.update(task, completed=done, total=total))
    print(f"{summary.rows} rows, {summary.changes} changes, {summary.replica_hours:.1f} replica-hours: {out}")


@backtest.command("rollout")
def backtest_rollout(
    observations: Annotated[Path, typer.Argument(help="JSON lines of observations, releases interleaved")],
    out: Annotated[Path, typer.Option(help="file for the verdicts, JSON lines")],
) -> None:
    """Judge releases from recorded observations; one verdict each."""
    from streams.backtest_rollout import backtest as run  # noqa: PLC0415

    run(observations, out)
