"""Stands in for `docker compose` where there is no engine: takes its command line, keeps counts in a file."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

SCRIPT = r"""
import json, os, sys
state = os.environ["STATE"]
words = sys.argv[1:]
with open(state + ".calls", "a") as calls:
    calls.write(json.dumps(words) + "\n")
counts = json.load(open(state))
while words[0] in ("--file", "--project-name"):
    words = words[2:]
if os.environ.get("SAYS"):
    sys.exit(os.environ["SAYS"])
if words == ["config", "--services"]:
    print("\n".join(counts))
elif words[:2] == ["ps", "--quiet"] and len(words) == 3:
    print("\n".join(f"{i:064x}" for i in range(counts[words[2]])))
elif words[:5] == ["up", "--detach", "--no-deps", "--no-recreate", "--scale"] and len(words) == 7:
    service, count = words[5].split("=")
    assert service == words[6]
    counts[service] = int(count)
    json.dump(counts, open(state, "w"))
else:
    sys.exit(f"unknown flag or command: {words}")
"""


class Program:
    """A program of a test's own, in `folder`, with these services and their containers."""

    def __init__(self, folder: Path, counts: Mapping[str, int]) -> None:
        self._script = folder / "compose.py"
        self._script.write_text(SCRIPT)
        self._state = folder / "state.json"
        self._state.write_text(json.dumps(dict(counts)))
        self.words = [sys.executable, str(self._script)]
        self.env = {"STATE": str(self._state), "PATH": os.environ["PATH"]}

    def counts(self) -> dict[str, int]:
        """Containers by service."""
        counts: dict[str, int] = json.loads(self._state.read_text())
        return counts

    def calls(self) -> list[list[str]]:
        """The command lines it was given."""
        calls = Path(f"{self._state}.calls")
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def changes(self) -> int:
        """How often it was asked to change anything."""
        return sum("up" in words for words in self.calls())
