"""`tidegate cost`, `rightsize` and `optimise`: what it costs, and what it need cost."""

import os
from pathlib import Path
from typing import Annotated

import typer

from streams.cli_shared import OptionalConfig, configured, fail, log_to_terminal, run_async, until_stopped

cost = typer.Typer()

UsageFile = Annotated[
    Path | None, typer.Argument(help="CSV of container, time, usage; absent: the topic metrics")
]


@cost.command("cost")
def show_cost(
    trace: Annotated[Path | None, typer.Option(help="CSV of time and load, in place of the topics")] = None,
    decisions: Annotated[Path | None, typer.Option(help="with --trace: CSV of ts,replicas")] = None,
    target: Annotated[str | None, typer.Option(help="with --trace: the target whose prices count")] = None,
    capacity: Annotated[float | None, typer.Option(help="with --trace: load one replica serves")] = None,
    startup: Annotated[float | None, typer.Option(min=0, help="with --trace: start-up time, s")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the reports here")] = None,
    config: OptionalConfig = None,
) -> None:
    """Spend, the month's end, and what was saved against the HPA's rule and a static fleet."""
    import msgspec  # noqa: PLC0415

    from streams.cost_report import from_files, from_topic, in_words  # noqa: PLC0415

    settings = configured(config)
    if trace is not None:
        reports = from_files(settings, trace, decisions, target, capacity=capacity, startup_s=startup)
    else:
        from streams.access import client_settings  # noqa: PLC0415

        kafka = settings.kafka
        reports = run_async(from_topic(f"{kafka.prefix}costs", client_settings(kafka, os.environ)))
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(reports), indent=2) + b"\n")
    print(in_words(reports))


@cost.command()
def rightsize(
    file: UsageFile = None,
    out: Annotated[Path | None, typer.Option(help="file for the requests over time")] = None,
    resource: Annotated[str, typer.Option(help="cpu or memory")] = "cpu",
    level: Annotated[
        float | None, typer.Option(min=0.5, max=0.9999, help="share of time to be covered")
    ] = None,
    container: Annotated[str | None, typer.Option(help="the file's column of the container")] = None,
    time: Annotated[str | None, typer.Option(help="its column of the time")] = None,
    value: Annotated[str | None, typer.Option(help="its column of the usage")] = None,
    metric: Annotated[str | None, typer.Option(help="without FILE: the metric that holds the usage")] = None,
    config: OptionalConfig = None,
) -> None:
    """CPU or memory requests from usage, beside the rule of the Vertical Pod Autoscaler."""
    import msgspec  # noqa: PLC0415

    from planners.rightsizing import SizingPolicy  # noqa: PLC0415
    from planners.rightsizing.port import POLICIES  # noqa: PLC0415
    from streams.rightsize import Sizing, from_topic, in_words, replay  # noqa: PLC0415
    from streams.usage_csv import Columns, Usage, read_usage  # noqa: PLC0415

    if resource not in POLICIES:
        fail(f"--resource {resource}: expected one of {', '.join(POLICIES)}")
    policy: SizingPolicy = POLICIES[resource]
    if level is not None:
        policy = msgspec.structs.replace(policy, level=level)
    sizing = Sizing(resource, policy)
    if file is not None:
        print(in_words(replay(read_usage(file, Columns(container, time, value)), out, sizing)))
        return
    if metric is None:
        fail("name a FILE, or the metric on the topic by --metric")
    from streams.access import client_settings  # noqa: PLC0415

    kafka = configured(config).kafka

    async def gather() -> list[Usage]:
        connection = client_settings(kafka, os.environ)
        return [row async for row in from_topic(f"{kafka.prefix}metrics", metric, connection)]

    rows = run_async(gather())
    if not rows:
        fail(f"there is no sample of {metric} on {kafka.prefix}metrics")
    print(in_words(replay(rows, out, sizing)))


@cost.command()
def optimise(
    config: OptionalConfig = None,
    demands: Annotated[Path | None, typer.Option(help="CSV of demands, in place of the topics")] = None,
    out: Annotated[Path | None, typer.Option(help="with --demands: file for the plan")] = None,
    capacity: Annotated[
        list[str] | None, typer.Option(help="with --demands: name=amount, as often as you like")
    ] = None,
    budget: Annotated[float | None, typer.Option(min=0, help="with --demands: most an hour may cost")] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="log the Kafka client too")] = False,
) -> None:
    """Plan all targets in mode cluster together, under shared limits, as commands; or a file of demands."""
    if demands is None:
        from streams.config import read  # noqa: PLC0415
        from streams.optimising import Optimiser  # noqa: PLC0415
        from streams.worker import wall_clock  # noqa: PLC0415

        if config is None:
            fail("give a configuration by -c, or a file by --demands")
        log_to_terminal(verbose)
        run_async(until_stopped(Optimiser(read(config), environ=os.environ, clock=wall_clock)))
        return
    from planners.optimiser import ClusterLimits  # noqa: PLC0415
    from planners.optimiser import optimise as solve  # noqa: PLC0415
    from streams.demands_csv import in_words, read_demands, write_plan  # noqa: PLC0415

    shared = configured(config).cluster
    amounts = dict(shared.capacity) | _amounts(capacity or [])
    limits = ClusterLimits(capacity=amounts, budget=shared.budget_per_hour if budget is None else budget)
    known = read_demands(demands, amounts)
    plan = solve(known, limits)
    if out is not None:
        write_plan(out, plan)
    print(in_words(known, limits, plan))


def _amounts(pairs: list[str]) -> dict[str, float]:
    amounts = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        try:
            amounts[name] = float(text)
        except ValueError:
            fail(f"--capacity {pair}: expected name=amount, such as cpu=400")
    return amounts
