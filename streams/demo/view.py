"""The demo in the terminal: a live view while it runs, or a line now and then without one."""

import asyncio
from datetime import UTC, datetime

from rich.console import Console as Terminal
from rich.console import Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from schemas import Rollback, Scale
from streams.demo.report import Report
from streams.demo.run import Demo, Progress

FRAME_S = 0.25
LINE_S = 10.0
BARS = "▁▂▃▄▅▆▇█"
LATEST = 6  # commands shown


async def watch(demo: Demo, terminal: Terminal, *, headless: bool) -> Report:
    """Run `demo` and show it; Ctrl-C ends it early, with the report of what happened until then."""
    running = asyncio.create_task(demo.run())
    shown = asyncio.create_task(
        _lines(demo.progress, terminal) if headless else _live(demo.progress, terminal)
    )
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        demo.finish()
        return await running
    finally:
        shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)


async def _lines(progress: Progress, terminal: Terminal) -> None:
    while True:
        terminal.print(
            f"{progress.phase}: {progress.done}/{progress.total}, console {progress.console or '-'}"
        )
        await asyncio.sleep(LINE_S)


async def _live(progress: Progress, terminal: Terminal) -> None:
    with Live(console=terminal, auto_refresh=False, transient=True) as live:
        while True:
            live.update(picture(progress, terminal.width), refresh=True)
            await asyncio.sleep(FRAME_S)


def picture(progress: Progress, width: int) -> RenderableType:
    """The live view, `width` columns wide."""
    head = Table.grid(padding=(0, 2))
    head.add_row("event time", _clock(progress.ts), "console", Text(progress.console or "-", style="cyan"))
    head.add_row("load", f"{progress.load:,.0f}/s", "release", progress.release or "-")
    head.add_row(
        "replicas",
        f"{progress.ready} ready, {progress.paid} paid",
        "the HPA's rule",
        f"{progress.hpa} replicas",
    )
    tally = progress.tally
    head.add_row(
        "anomalies",
        str(tally.anomalies),
        "alerts, dead letters",
        f"{tally.alerts}, {tally.dead_letters}",
    )
    columns = max(20, width - 20)
    charts = Table.grid(padding=(0, 2))
    top = max([*progress.loads[-columns:], *progress.capacity[-columns:], 1.0])
    charts.add_row("load", Text(_spark(progress.loads[-columns:], top), style="blue"))
    charts.add_row("capacity", Text(_spark(progress.capacity[-columns:], top), style="green"))
    bar = ProgressBar(total=max(progress.total, 1), completed=progress.done, width=columns)
    body = Group(head, Text(), charts, Text(), _commands(progress), Text(), bar)
    return Panel(body, title=f"Tidegate: {progress.phase}", border_style="blue")


def _commands(progress: Progress) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    done = {outcome.command: outcome.status for outcome in progress.tally.outcomes[-4 * LATEST :]}
    for command in list(progress.tally.commands.values())[-LATEST:]:
        match command.action:
            case Scale(previous=before, replicas=after):
                what = f"scale {before} -> {after}"
            case Rollback(release=release, to=to):
                what = f"roll {release} back to {to}"
            case _:
                what = command.kind
        style = "bold red" if command.kind == "rollback" else ""
        why = command.reasons[0] if command.reasons else ""
        table.add_row(
            _clock(command.issued_at),
            Text(what, style=style),
            done.get(command.id, "on its way"),
            Text(why, "dim"),
        )
    return table if table.row_count else Text("no commands yet", style="dim")


def _clock(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / 1000, UTC):%a %d %b %H:%M}" if ts else "-"


def _spark(values: list[float], top: float) -> str:
    return "".join(BARS[min(len(BARS) - 1, int(value / top * len(BARS)))] for value in values)
