"""What the deployment is made of, read once; and the command line that its commands must fit."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from streams.cli import app

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = read_yaml(ROOT / "docker-compose.yml")
    return content


def parse_command(arguments: Sequence[str]) -> dict[str, Any]:
    """Parse the arguments of `tidegate` as its command line does, running nothing; return the parameters.

    Raises:
        typer.exceptions.TyperException: an argument is unknown, missing or malformed.
    """
    command: Any = typer.main.get_command(app)
    context, name, rest = None, "tidegate", list(arguments)
    while True:
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "commands"):
            return dict(context.params)
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)


def command_names() -> set[str]:
    """Names of the commands of `tidegate`."""
    command: Any = typer.main.get_command(app)
    return set(command.commands)


def program(*names: str) -> str:
    """Path of the first of these programs that is installed; in CI one must be."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            return path
    reason = f"{names[0]} is not installed: apt-get install prometheus prometheus-alertmanager"
    if os.environ.get("CI") == "true":
        pytest.fail(f"required in CI: {reason}", pytrace=False)
    pytest.skip(reason)
