"""The pages: links lead somewhere, configurations are valid, commands exist, the reference is up to date."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from streams.cli import app
from streams.config import parse
from streams.config.document import reference

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}(?: [^\n]*)?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    absent = [t for t in targets if "://" not in t and not (page.parent / t).exists()]
    assert absent == []


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "toml")], ids=_name)
def test_configurations_are_valid(page: Path) -> None:
    for block in _blocks(page, "toml"):
        parse(block, _name(page))


@pytest.mark.parametrize("page", [page for page in PAGES if _blocks(page, "sh")], ids=_name)
def test_commands_exist(page: Path) -> None:
    root: Any = typer.main.get_command(app)
    for block in _blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if not words or words[0] != "tidegate":
                continue
            command = root
            for word in words[1:]:
                if hasattr(command, "commands") and not word.startswith("-"):
                    assert word in command.commands, f"{_name(page)}: {line}"
                    command = command.commands[word]
            known = {option for parameter in command.params for option in parameter.opts}
            given = {word.partition("=")[0] for word in words if word.startswith("-")}
            assert given <= known, f"{_name(page)}: {line}"


def test_every_key_of_the_configuration_is_documented() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == reference()
    undocumented = re.findall(r"^\| `(\w+)` \| .* \|  \|$", reference(), re.MULTILINE)
    assert undocumented == []
