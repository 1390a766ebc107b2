"""The page in a real Chromium: what a person sees and can do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streams.console import Console
from tests.console.conftest import FLAGS, Running
from tests.console.day import MINUTE, play
from tests.console.messages import T0, alert, anomaly, dead, forecast, outcome, scale

if TYPE_CHECKING:
    from playwright.async_api import Page

HOSTILE = '<img src=x onerror="document.title=`hacked`"><script>document.title="hacked"</script>'
CONTRAST = Path(__file__).with_name("contrast.js").read_text()


class Problems(list[str]):
    """What the browser complained about, and requests that left the console."""

    def watch(self, page: Page, origin: str) -> None:
        page.on("console", lambda m: self.append(f"{m.type}: {m.text}") if m.type != "log" else None)
        page.on("pageerror", lambda error: self.append(f"error: {error}"))
        page.on("request", lambda r: None if r.url.startswith(origin) else self.append(f"request to {r.url}"))


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.fixture
async def page(chromium: Path, running: Running, problems: Problems, tmp_path: Path) -> AsyncIterator[Page]:
    from playwright.async_api import async_playwright  # noqa: PLC0415 - absent: `chromium` has skipped

    async with async_playwright() as driver:
        context = await driver.chromium.launch_persistent_context(
            tmp_path / "profile",
            executable_path=chromium,
            args=FLAGS,
            headless=True,
            viewport={"width": 1280, "height": 900},
        )
        context.set_default_timeout(15_000)
        page = context.pages[0]
        problems.watch(page, running.url)
        yield page
        await context.close()


async def text(page: Page, selector: str) -> str:
    return (await page.text_content(selector)) or ""


async def test_charts_and_lists_appear_without_a_complaint(
    page: Page, running: Running, problems: Problems
) -> None:
    play(running.feed)
    running.telemetry.ledger(True)
    await page.goto(running.url)
    await page.wait_for_selector("#load-chart path.load")
    for line in ("#load-chart path.forecast", "#load-chart path.band", "#replica-chart path.desired"):
        drawn = await page.get_attribute(line, "d")
        assert drawn is not None
        assert len(drawn) > 100, line
    for mark in ("anomaly", "up", "down"):
        assert await page.locator(f"#load-chart .mark-{mark}").count() > 0, mark
    assert await page.locator("#load-chart .event-label").all_text_contents() == [
        "v2 deployed",
        "Roll v2 back to v1",
    ]
    assert "will stay below" in await text(page, "#sentence")
    assert "load in 2 min is at most 55 at 99 %" in await text(page, "#decisions")
    assert "firing" in await text(page, "#alerts tbody")
    assert "level ×3.2" in await text(page, "#anomalies tbody")
    assert "metrics[2] offset 41" in await text(page, "#letters tbody")
    assert "answers" in await text(page, "#counters")
    assert problems == []


async def test_without_data_the_page_says_what_it_waits_for(
    page: Page, running: Running, problems: Problems
) -> None:
    await page.goto(running.url)
    await page.wait_for_selector("#connection[data-state=live]")
    assert "Waiting for the first samples" in await text(page, "#sentence")
    assert await page.is_visible("#decisions-empty")
    assert not await page.is_visible("#alerts")
    assert problems == []


async def test_markup_in_messages_is_shown_as_text(page: Page, running: Running, problems: Problems) -> None:
    fields = {"target": HOSTILE}
    running.feed.outputs(
        "any",
        [
            forecast(**fields, model=HOSTILE),
            anomaly(**fields, metric=HOSTILE, labels={"path": HOSTILE}),
            alert(
                **fields, summary=HOSTILE, runbook="javascript:document.title='hacked'", suppressed=HOSTILE
            ),
            scale(**fields, reasons=[HOSTILE]),
            outcome(status="failed", detail=HOSTILE),
            dead(reason=HOSTILE),
        ],
    )
    running.feed.release(HOSTILE, T0, HOSTILE)
    await page.goto(running.url)
    for place in ("#anomalies .label", "#anomalies tbody", "#alerts tbody", "#decisions", "#letters tbody"):
        await page.wait_for_selector(place)
        assert HOSTILE in await text(page, place), place
    assert HOSTILE in await text(page, "#sentence")
    assert await page.locator("main img, main script, #alerts a").count() == 0
    assert "hacked" not in await page.title()
    assert problems == []


async def test_updates_arrive_while_one_looks(page: Page, running: Running, problems: Problems) -> None:
    running.feed.outputs("plan", [forecast()])
    await page.goto(running.url)
    await page.wait_for_selector("#load-chart path.load", state="attached")
    running.feed.outputs("plan", [forecast(ts=T0 + MINUTE, observed=77.0), scale(9, previous=5)])
    await page.locator("#decisions", has_text="Scale 5 → 9").wait_for()
    await page.locator(".decision .badge", has_text="under way").wait_for()
    running.feed.outputs("act", [outcome()])
    await page.locator(".decision .badge", has_text="carried out").wait_for()
    await page.locator("#tiles", has_text="77").wait_for()
    assert problems == []


async def test_the_page_comes_back_with_the_worker(page: Page, running: Running) -> None:
    await page.goto(running.url)
    await page.wait_for_selector("#connection[data-state=live]")
    port = running.console.port
    await running.console.stop()
    await page.wait_for_selector("#connection[data-state=lost]")
    running.feed.outputs("detect", [alert()])
    again = Console(running.feed, running.registry, port=port)
    await again.start()
    try:
        await page.wait_for_selector("#connection[data-state=live]")
        await page.locator("#alerts", has_text="expected about 40").wait_for()
    finally:
        await again.stop()


async def test_another_target_is_a_choice_away(page: Page, running: Running, problems: Problems) -> None:
    play(running.feed, "checkout", minutes=30)
    play(running.feed, "search", minutes=30)
    await page.goto(running.url)
    await page.locator("#sentence", has_text="checkout sees").wait_for()
    await page.select_option("#target", "search")
    await page.locator("#sentence", has_text="search sees").wait_for()
    assert await page.locator("#load-chart path.load").count() == 1
    assert problems == []


async def test_values_are_read_with_the_keyboard_alone(page: Page, running: Running) -> None:
    play(running.feed, minutes=60)
    await page.goto(running.url)
    await page.wait_for_selector("#load-chart path.load")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.textContent") == "Skip to the charts"
    await page.keyboard.press("Enter")
    while await page.evaluate("document.activeElement.parentElement?.id") != "load-chart":
        await page.keyboard.press("Tab")
    await page.keyboard.press("Home")
    assert "22:13:20" in await text(page, "#readout")  # T0, where the day begins
    for _ in range(5):
        await page.keyboard.press("ArrowRight")
    read = await text(page, "#readout")
    assert "load" in read
    assert "ready" in read
    assert await text(page, "#spoken") == read
    await page.keyboard.press("Escape")
    assert "Point at a chart" in await text(page, "#readout")


async def test_the_time_shown_can_be_narrowed(page: Page, running: Running) -> None:
    play(running.feed, minutes=600)
    await page.goto(running.url)
    await page.wait_for_selector("#load-chart path.load")
    await page.get_by_role("button", name="1 h").click()
    label = await page.get_attribute("#load-chart svg", "aria-label")
    assert label is not None
    assert "Wed 07:12 to Wed 08:22" in label  # an hour, and a sixth of it ahead
    assert await page.get_attribute("#windows [aria-pressed=true]", "data-hours") == "1"


async def test_pause_holds_the_page_still(page: Page, running: Running) -> None:
    await page.goto(running.url)
    await page.wait_for_selector("#connection[data-state=live]")
    await page.get_by_role("button", name="Pause").click()
    await page.evaluate(
        """() => new Promise((opened) => {
          const other = new EventSource("/stream");
          other.addEventListener("snapshot", opened);
          other.addEventListener("update", (e) => JSON.parse(e.data).alerts.length && console.log("told"));
        })"""
    )
    async with page.expect_event("console", lambda message: message.text == "told"):
        running.feed.outputs("detect", [alert()])
    await page.evaluate("new Promise(requestAnimationFrame)")
    assert await page.locator("#alerts tbody tr").count() == 0
    await page.get_by_role("button", name="Pause").click()
    await page.locator("#alerts tbody tr").first.wait_for()


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_contrast_is_enough_in_both_themes(page: Page, running: Running, theme: str) -> None:
    play(running.feed)
    await page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
    await page.goto(running.url)
    await page.wait_for_selector("#load-chart path.load")
    assert await page.get_attribute("html", "data-theme") == theme
    seen = await page.evaluate(CONTRAST)
    assert len(seen) > 80
    assert [each for each in seen if each["value"] < each["least"]] == []


async def test_a_phone_needs_no_sideways_scrolling(page: Page, running: Running) -> None:
    play(running.feed)
    running.feed.outputs("detect", [anomaly(id="long", labels={"path": "/very/long" * 30})])
    await page.set_viewport_size({"width": 360, "height": 740})
    await page.goto(running.url)
    await page.wait_for_selector("#load-chart path.load")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360
    size = await page.evaluate(
        "parseFloat(getComputedStyle(document.querySelector('#decisions li')).fontSize)"
    )
    assert size >= 13
