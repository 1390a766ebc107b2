"""The commands on the pages run as they stand, on the files that the pages show."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("cost.md", "optimiser.md", "preview.md", "rightsizing.md", "scheduling.md")

FENCE = re.compile(r"^```(?P<language>\w+) ?(?P<rest>[^\n]*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = 0
    for block in FENCE.finditer((DOCS / page).read_text()):
        if block["language"] == "csv":
            (tmp_path / block["rest"]).write_text(block["body"])
        if block["language"] != "sh" or block["rest"] == "norun":  # needs a running cluster
            continue
        for line in block["body"].replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                done = CliRunner().invoke(app, words[1:], catch_exceptions=False)
                assert done.exit_code == 0, f"{line}: {done.output}"
                ran += 1
    assert ran
