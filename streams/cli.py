"""The command line: `tidegate`."""

import contextlib
import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from streams.cli_access import access
from streams.cli_alerts import feedback, silence
from streams.cli_backtest import backtest
from streams.cli_bench import bench
from streams.cli_cost import cost
from streams.cli_experiment import experiment
from streams.cli_keys import keys
from streams.cli_models import models
from streams.cli_release import release
from streams.cli_serve import serve
from streams.cli_shared import (
    ConfigOption,
    OptionalConfig,
    bar,
    configured,
    fail,
    hush,
    log_to_terminal,
    run_async,
    terminal,
    until_stopped,
)
from streams.cli_state import state

app = typer.Typer(
    name="tidegate",
    help="Anomaly detection, forecasting, autoscaling and rollback on Kafka.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(backtest, name="backtest")
app.add_typer(bench, name="bench")
app.add_typer(state, name="state")
app.add_typer(keys, name="keys")
app.add_typer(release, name="release")
app.add_typer(models, name="models")
app.add_typer(experiment, name="experiment")
app.add_typer(serve)
app.add_typer(access)
app.add_typer(cost)
app.add_typer(silence, name="silence")
app.command()(feedback)


def main() -> None:
    """Run the command line; expected errors end in one line that says what to do, and exit code 1."""
    try:
        app()
    except Exception as error:
        from streams.errors import in_words  # noqa: PLC0415 - `tidegate --help` answers without all of it

        if (words := in_words(error)) is None:
            raise
        fail(words)


# -- running --------------------------------------------------------------------------------------


@app.command()
def demo(
    headless: Annotated[bool, typer.Option("--headless", help="no live view, only the summary")] = False,
    seconds: Annotated[float | None, typer.Option(min=10, help="wall time; default: one day of load")] = None,
    trace: Annotated[Path | None, typer.Option(help="CSV of time and load, not the generated week")] = None,
    report: Annotated[Path | None, typer.Option(help="write the figures here, as JSON")] = None,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="port of the web page; 0: a free one")] = 0,
    scenario: Annotated[
        str | None, typer.Option(help="bad-release or good-release: a canary; default: a bad one without")
    ] = None,
) -> None:
    """The whole loop on an embedded broker and ledger, against a simulated service."""
    from streams.demo.report import in_words  # noqa: PLC0415
    from streams.demo.run import Demo, Options  # noqa: PLC0415
    from streams.demo.scenario import SCENARIOS, WHOLE  # noqa: PLC0415
    from streams.demo.view import watch  # noqa: PLC0415

    logging.basicConfig(level=logging.ERROR, format="%(name)s: %(message)s")
    if scenario is not None and scenario not in SCENARIOS:
        fail(f"--scenario {scenario}: unknown; known: {', '.join(SCENARIOS)}")
    chosen = SCENARIOS[scenario] if scenario is not None else WHOLE
    run = Demo(Options(seconds=seconds, trace=trace, port=port, scenario=chosen), os.environ)
    result = run_async(watch(run, terminal, headless=headless))
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
    log_to_terminal(verbose)
    run_async(
        until_stopped(Worker(read(config), environ=os.environ, roles=chosen), "stopping: writing state")
    )


@app.command()
def check(config: ConfigOption) -> None:
    """Validate the configuration, reach each component, say what is wrong and how to mend it."""
    from streams.check import examine  # noqa: PLC0415

    findings = run_async(examine(config, os.environ))
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

    print(run_async(stop_hands(config, _scope(target, everything), reason, os.environ)))


@app.command()
def resume(
    config: ConfigOption,
    target: Annotated[str | None, typer.Argument(help="the target to act on again")] = None,
    everything: Annotated[bool, typer.Option("--all", help="lift the pause on everything")] = False,
) -> None:
    """Lift a pause."""
    from streams.pauses import resume as free_hands  # noqa: PLC0415

    print(run_async(free_hands(config, _scope(target, everything), os.environ)))


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
    until_now: Annotated[
        bool, typer.Option("--until-now", help="move the times so that the last is now: a history")
    ] = False,
    config: OptionalConfig = None,
) -> None:
    """Write a recorded series to `metrics`."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.produce import Series  # noqa: PLC0415
    from streams.produce import produce as run  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    hush()
    kafka = configured(config).kafka
    with bar() as shown:
        task = shown.add_task("samples", total=None)
        written = run_async(
            run(
                file,
                connection=client_settings(kafka, os.environ),
                series=Series(metric or file.name.partition(".")[0], _labels(label or [])),
                topic=f"{kafka.prefix}metrics",
                speed=speed,
                start=wall_clock() if now else None,
                end=wall_clock() if until_now else None,
                progress=lambda done, total: shown.update(task, completed=done, total=total),
            )
        )
    print(f"{written.samples} samples in {written.records} records")


@app.command()
def backfill(
    query: Annotated[str, typer.Argument(help="PromQL, such as sum by (service) (rate(requests_total[1m]))")],
    prometheus: Annotated[str, typer.Option(help="its address")] = "http://127.0.0.1:9090",
    since: Annotated[str, typer.Option(help="how far back, such as 14d")] = "14d",
    step: Annotated[str, typer.Option(help="time between samples, as of the live ones")] = "60s",
    metric: Annotated[str, typer.Option(help="name of the metric that it becomes; default: its own")] = "",
    config: OptionalConfig = None,
) -> None:
    """Write what Prometheus remembers of series to `metrics`, before their live samples come."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.backfill import backfill as run  # noqa: PLC0415
    from streams.backfill import seconds  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    hush()
    kafka = configured(config).kafka
    series, samples = run_async(
        run(
            query,
            prometheus=prometheus,
            end_s=wall_clock() / 1000.0,
            span_s=seconds(since),
            step_s=seconds(step),
            metric=metric,
            connection=client_settings(kafka, os.environ),
            topic=f"{kafka.prefix}metrics",
        )
    )
    print(f"{samples} samples of {series} series")


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

    hush()
    kafka = configured(config).kafka

    async def show() -> None:
        connection = client_settings(kafka, os.environ)
        async for record in run(f"{kafka.prefix}{topic}", connection=connection, last=last, follow=follow):
            if raw:
                sys.stdout.buffer.write((record.value or b"") + b"\n")
                sys.stdout.flush()
            else:
                print(line(record), flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        run_async(show())
