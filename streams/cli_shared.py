"""What the parts of the command line share."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, Protocol, TypeVar

import typer
from rich.console import Console as Terminal
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from streams.config import Config

T = TypeVar("T")

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


def hush() -> None:
    """Let a command of one step speak for itself: what its clients log would say the same in other words."""
    logging.basicConfig(level=logging.CRITICAL)


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` in an event loop of its own; return what it returns."""
    return asyncio.run(work)


def log_to_terminal(verbose: bool) -> None:
    """Show the log; with `verbose`, also what the clients and Faust tell of every step."""
    from streams.noise import Seldom  # noqa: PLC0415

    handler = RichHandler(console=terminal, show_path=False, rich_tracebacks=False)
    logging.basicConfig(level=logging.INFO, format="%(message)s", datefmt="[%X]", handlers=[handler])
    if not verbose:
        handler.addFilter(Seldom())
        for name in ("aiokafka", "faust", "httpx", "mode", "streams.transport"):
            logging.getLogger(name).setLevel(logging.WARNING)


class Service(Protocol):
    """What runs until it is stopped."""

    async def start(self) -> None:
        """Return when it runs."""

    async def wait(self) -> None:
        """Return when it has ended by itself."""

    async def stop(self) -> None:
        """Finish what is under way and close everything."""


async def until_stopped(running: Service, last_words: str = "stopping") -> None:
    """Run until SIGTERM, Ctrl-C, or its own end."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None  # noqa: S101
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    try:
        await running.start()
        await running.wait()
    except asyncio.CancelledError:
        logging.getLogger(__name__).info("%s", last_words)
    finally:
        await running.stop()
