"""The code on the pages about the hands runs, and the tables on them are those of the code."""

import ast
import inspect
import re
import tomllib
import types
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from actuators import ActuationError, UnknownTarget, errors, make_actuator
from actuators.webhook import WebhookConfig
from schemas import Status
from tests.actuators.commands import scale

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(r"^```python(?: file=(?P<file>\S+))?\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str | None, str]]:
    return [(block["file"], block["code"]) for block in _BLOCK.finditer((DOCS / page).read_text())]


async def run(code: str, names: dict[str, Any]) -> None:
    """Run `code`, which may await, with and into `names`."""
    compiled = compile(code, "docs", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = types.FunctionType(compiled, names)()
    if inspect.iscoroutine(result):
        await result


async def test_the_page_on_adding_an_actuator_works_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / "counts"
    folder.mkdir()
    (folder / "checkout").write_text("2")
    names: dict[str, Any] = {"folder": str(folder), "command": scale(1, 5)}
    ran = 0
    for file, code in blocks("add-an-actuator.md"):
        if file is None:
            await run(code, names)
            ran += 1
        else:
            (tmp_path / file).write_text(code)
    assert ran == 2
    assert (folder / "checkout").read_text() == "5"
    own = make_actuator("my_platform:make", {"folder": str(folder)}, env={})
    with pytest.raises(UnknownTarget, match="there are checkout"):
        await own.apply(scale(2, 5, target="search"))
    assert [path.name for path in folder.iterdir()] == ["checkout"]


async def test_the_snippet_on_signing_runs() -> None:
    (snippet,) = blocks("actuation.md")
    await run(snippet[1], {"command": scale(1)})


def _first_column(heading: str, page: str = "actuation.md") -> set[str]:
    section = (DOCS / page).read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_the_table_of_errors_is_the_tree() -> None:
    tree = {name for name, kind in vars(errors).items() if isinstance(kind, type)} - {ActuationError.__name__}
    assert _first_column("Errors of an actuator") == tree


def test_the_table_of_the_webhook_is_its_configuration() -> None:
    assert _first_column("The webhook") == {field.name for field in msgspec.structs.fields(WebhookConfig)}


def test_the_page_on_kubernetes_is_its_configuration() -> None:
    from actuators.kubernetes import KubernetesConfig  # noqa: PLC0415 - needs an extra

    page = "platforms/kubernetes.md"
    names = {field.name for field in msgspec.structs.fields(KubernetesConfig)}
    assert _first_column("Configuration", page) == names
    (example,) = re.findall(r"^```toml\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)
    params = tomllib.loads(example)["actuators"]["shop"]["params"]
    config = msgspec.convert(params, KubernetesConfig)
    assert config.targets["search"].name == "search-index"


def test_every_status_is_explained() -> None:
    page = (DOCS / "actuation.md").read_text()
    assert [status for status in get_args(Status) if f"`{status}`" not in page] == []
