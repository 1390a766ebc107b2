"""A console on a free port, and a real browser to look at it with."""

import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from streams.console import Console, Feed
from streams.telemetry import Telemetry
from tests.console.messages import T0

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class Running:
    """A console that serves, and what fills it."""

    registry: CollectorRegistry
    feed: Feed
    telemetry: Telemetry
    console: Console
    waiting_for: list[str] = field(default_factory=list)
    said: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.console.url


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    registry, feed, waiting_for = CollectorRegistry(), Feed(backlog=500), []
    said: list[Mapping[str, Any]] = []

    async def tell(word: Mapping[str, Any]) -> str:
        if "verdict" not in word:
            raise ValueError("feedback: needs a verdict")
        said.append(word)
        return f"told: {word['verdict']}"

    telemetry = Telemetry(registry, clock=lambda: T0 + 12)
    console = Console(
        feed,
        registry,
        port=0,
        ready=lambda: waiting_for[0] if waiting_for else None,
        watchers=3,
        tell=tell,
    )
    await console.start()
    yield Running(registry, feed, telemetry, console, waiting_for, said)
    await console.stop()


@pytest.fixture
def chromium() -> Path:
    try:
        import playwright  # noqa: F401, PLC0415
    except ImportError:
        missing = "the package playwright is not installed"
    else:
        missing = "" if CHROMIUM.is_file() else f"{CHROMIUM} is not there: apt-get install chromium"
    if missing and os.environ.get("CI") == "true":
        pytest.fail(f"a browser is required in CI: {missing}", pytrace=False)
    if missing:
        pytest.skip(missing)
    return CHROMIUM
