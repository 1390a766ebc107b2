"""What docs/releases.md says is run: its Python, its table of buckets."""

import doctest
import re
from pathlib import Path

from planners.releases.assignment import bucket

PAGE = (Path(__file__).parents[2] / "docs" / "releases.md").read_text()


def fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)


def test_its_python_says_what_it_shows() -> None:
    blocks = fenced("python")
    assert len(blocks) >= 4
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "docs/releases.md", None, 0)
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert result.failed == 0, "".join(said)
    assert result.attempted >= 10


def test_its_buckets_are_right() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (?:`([^`]*)`|\(empty\)) \| (\d+) \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) == 5
    assert all(bucket(experiment, unit) == int(number) for experiment, unit, number in rows)


def test_its_pictures_are_there() -> None:
    pictures = re.findall(r"\]\((pictures/[^)]+)\)", PAGE)
    assert len(pictures) == 3
    assert all((Path(__file__).parents[2] / "docs" / picture).is_file() for picture in pictures)
