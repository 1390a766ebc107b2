"""Saying on the page that an alarm was nothing: who may, what is told, and what is shown of it."""

import json

import aiohttp
import pytest
from playwright.async_api import Page
from prometheus_client import CollectorRegistry

from streams.console import Console, Feed
from streams.console.part import Heard
from tests.console.conftest import Running
from tests.console.messages import T0, anomaly, incident
from tests.console.test_page import Problems, page, problems, text

__all__ = ["page", "problems"]  # fixtures

WORD = {"series": 'rps{service="checkout"}', "ts": T0, "verdict": "real"}


async def _post(url: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, str]:
    content = json.dumps(WORD).encode() if body is None else body
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}api/feedback", data=content, headers=headers) as answer,
    ):
        return answer.status, await answer.text()


def _own(url: str) -> dict[str, str]:
    return {"Origin": url.rstrip("/"), "Content-Type": "application/json"}


async def test_the_own_page_may_tell(running: Running) -> None:
    assert await _post(running.url, _own(running.url)) == (200, "told: real\n")
    assert running.said == [WORD]


@pytest.mark.parametrize(
    "changed",
    [{"Origin": "https://elsewhere.example"}, {"Origin": ""}, {"Content-Type": "text/plain"}],
    ids=["foreign page", "no page", "what a form can send"],
)
async def test_others_may_not(running: Running, changed: dict[str, str]) -> None:
    status, _ = await _post(running.url, _own(running.url) | changed)
    assert (status, running.said) == (403, [])


async def test_what_is_no_feedback_is_refused_with_the_reason(running: Running) -> None:
    assert await _post(running.url, _own(running.url), b"{}") == (400, "feedback: needs a verdict\n")
    status, _ = await _post(running.url, _own(running.url), b"[")
    assert status == 400


async def test_a_console_that_others_reach_takes_none() -> None:
    async def tell(word: object) -> str:
        raise AssertionError(word)

    console = Console(Feed(), CollectorRegistry(), host="0.0.0.0", port=0, tell=tell)  # noqa: S104
    await console.start()
    try:
        url = f"http://127.0.0.1:{console.port}/"
        status, said = await _post(url, _own(url))
    finally:
        await console.stop()
    assert (status, "loopback only" in said) == (403, True)


async def test_a_click_tells_and_the_page_shows_what_it_did(
    page: Page, running: Running, problems: Problems
) -> None:
    running.feed.outputs("any", [anomaly(), incident()])
    await page.goto(running.url)
    await page.locator("#incidents", has_text="likeliest cause").wait_for()
    assert "began first" in await text(page, "#incidents tbody")
    await page.locator("#anomalies button", has_text="Nothing").click()
    await page.locator("#feedback-answer", has_text="told: false-alarm").wait_for()
    (word,) = running.said
    assert (word["verdict"], word["side"], word["ts"]) == ("false-alarm", "above", T0)
    told = Heard(series=str(word["series"]), ts=T0, verdict="false-alarm", by="ana", below=1.0, above=1.25)
    running.feed.heard([told])
    await page.locator("#feedback", has_text="×1.25").wait_for()
    assert await page.locator("#anomalies button[aria-pressed=true]").all_text_contents() == ["Nothing"]
    assert problems == []
