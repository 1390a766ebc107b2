"""What the parts of the command line share."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from rich.console import Console as Terminal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from streams.config import Config

terminal = Terminal(stderr=True)

OptionalConfig = Annotated[
    Path | None, typer.Option("-c", "--config", help="without it: all defaults, a broker here")
]
ConfigOption = Annotated[Path, typer.Option("-c", "--config", help="the configuration file")]


def fail(message: str) -> NoReturn:
    """Say what went wrong and exit with code 1."""
    terminal.print(f"[bold red]tidegate:[/] {message}", highlight=False, soft_wrap=True)
    sys.exit(1)


def bar() -> Progress:
    """A progress bar on the terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=terminal)


def configured(path: Path | None) -> "Config":
    """The configuration in the file, or all defaults."""
    from streams.config import Config, read  # noqa: PLC0415

    return read(path) if path else Config()
