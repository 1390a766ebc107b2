"""`tidegate backtest`: recorded data replayed."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.cli_shared import OptionalConfig, bar, configured, fail

backtest = typer.Typer(help="Replay recorded data, write what Tidegate would do.", no_args_is_help=True)


@backtest.command("detect")
def backtest_detect(
    in_dir: Annotated[Path, typer.Argument(help="folder of CSV files, first two columns time and value")],
    out: Annotated[Path, typer.Option(help="folder for the results, same relative paths")],
    config: OptionalConfig = None,
) -> None:
    """Score each CSV below IN_DIR: timestamp,value,anomaly_score,alarm,expected,lower,upper."""
    from detectors.registry import make_bank  # noqa: PLC0415
    from streams.backtest_detect import backtest as run  # noqa: PLC0415

    chosen = configured(config).detector
    with bar() as shown:
        task = shown.add_task("files", total=None)
        run(
            in_dir,
            out,
            lambda: make_bank(
                chosen.model, chosen.params, alarms_per_series_day=chosen.alarms_per_series_day
            ),
            lambda done, total: shown.update(task, completed=done, total=total),
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
    plot: Annotated[Path | None, typer.Option(help="file for a page that shows it: HTML, no network")] = None,
    others: Annotated[
        bool, typer.Option("--what-if", help="also with start-up, price and penalty halved and doubled")
    ] = False,
) -> None:
    """Replay a load and write when the desired count of replicas would have changed."""
    from streams.backtest_scale import backtest as run  # noqa: PLC0415
    from streams.scaling import ScaleConfig  # noqa: PLC0415

    given = {"price": price, "penalty": penalty}
    costs: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    config = ScaleConfig(startup_s=startup, capacity=capacity, min=least, max=most, **costs)
    with bar() as shown:
        task = shown.add_task("rows", total=None)

        def progress(done: int, total: int) -> None:
            shown.update(task, completed=done, total=total)

        if plot is None and not others:
            summary, told = run(trace, out, config, progress), ""
        else:
            from streams.preview.replay import look  # noqa: PLC0415

            summary, told = look(trace, out, config, plot, others=others, progress=progress)
    print(f"{summary.rows} rows, {summary.changes} changes, {summary.replica_hours:.1f} replica-hours: {out}")
    if told:
        print(told)


@backtest.command("rollout")
def backtest_rollout(
    observations: Annotated[Path, typer.Argument(help="JSON lines of observations, releases interleaved")],
    out: Annotated[Path, typer.Option(help="file for the verdicts, JSON lines")],
    config: OptionalConfig = None,
    target: Annotated[str | None, typer.Option(help="judge as this target of the configuration")] = None,
) -> None:
    """Judge releases from recorded observations; one verdict each."""
    from streams.backtest_rollout import backtest as run  # noqa: PLC0415

    judged = {each.name: each.release for each in configured(config).targets if each.release is not None}
    if target is not None and target not in judged:
        fail(f"--target {target}: no such target with a [targets.release] table; known: {', '.join(judged)}")
    if target is None and len(judged) > 1:
        fail(f"several targets judge releases; choose one with --target: {', '.join(judged)}")
    chosen = judged[target] if target is not None else next(iter(judged.values()), None)
    with bar() as shown:
        task = shown.add_task("bytes", total=None)
        verdicts = run(
            observations, out, chosen, lambda done, total: shown.update(task, completed=done, total=total)
        )
    counts = Counter(verdict.verdict for verdict in verdicts)
    told = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
    print(f"{len(verdicts)} releases: {told}: {out}")


@backtest.command("schedule")
def backtest_schedule(
    jobs: Annotated[Path, typer.Argument(help="CSV of jobs: resources, arrival, duration, deadline")],
    nodes: Annotated[Path, typer.Option(help="CSV of nodes: resources, price")],
    out: Annotated[Path, typer.Option(help="file for the placements: job,node,start,end,gpus,reason")],
    rule: Annotated[str, typer.Option(help="urgency, backfill or fcfs")] = "urgency",
    prices: Annotated[Path | None, typer.Option(help="CSV of ts,price[,carbon]: cheap hours")] = None,
    carbon_price: Annotated[float, typer.Option(min=0, help="price of a tonne of CO2")] = 0.0,
) -> None:
    """Place jobs on nodes: who runs where and when, beside first come, first served."""
    from streams.backtest_schedule import backtest as run  # noqa: PLC0415
    from streams.backtest_schedule import in_words  # noqa: PLC0415

    print(in_words(run(jobs, nodes, out, rule=rule, prices=prices, carbon_price=carbon_price)))
