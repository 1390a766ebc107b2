"""What the pages on planners and scaling say is run, and held to the limits."""

import math
import re
from pathlib import Path
from typing import Any

from planners.scaling import Observation, ScalePolicy, ScaleState
from schemas import KnownEvent, decode
from streams.config.read import parse

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "add-a-planner.md"


def test_the_page_s_planner_runs_and_keeps_to_the_limits() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert blocks
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)  # noqa: S102
    plan = names["half_empty"]
    policy, state = ScalePolicy(capacity=10.0, min_replicas=2, max_replicas=12), ScaleState()
    counts = []
    for minute, load in enumerate((50.0, 1e9, math.nan, 0.0)):
        decision, state = plan(policy, state, Observation(ts=60_000 * minute, load=load, replicas=3), None)
        counts.append(decision.replicas)
    assert counts == [10, 12, 3, 2]


def test_the_page_s_configuration_and_event_are_accepted() -> None:
    page = (DOCS / "scaling.md").read_text()
    (toml,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (target,) = parse(toml).targets
    assert set(target.scales()) == {"load", "load:orders"}
    (event,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert decode(event.encode(), KnownEvent).factor == 3.0


def test_the_page_s_pictures_are_there() -> None:
    pictures = re.findall(r"\]\((pictures/[^)]+)\)", (DOCS / "scaling.md").read_text())
    assert len(pictures) == 3
    assert all((DOCS / picture).is_file() for picture in pictures)
