"""Pictures of verdicts."""

from xml.etree import ElementTree

import numpy as np

from planners.releases import ReleaseJudge, TargetWatch
from planners.releases.picture import as_svg, as_text
from tests.releases.generate import MINUTE, feed_errors, latencies

SVG = "{http://www.w3.org/2000/svg}"


def judged() -> ReleaseJudge:
    rng, judge = np.random.default_rng(0), ReleaseJudge.begin("v2 <b>", 0)
    for minute in range(40):
        judge.observe_values(minute * MINUTE, "control", "latency_ms", latencies(rng, 100))
        judge.observe_values(minute * MINUTE, "canary", "latency_ms", latencies(rng, 100))
        judge.observe_count(minute * MINUTE, "control", "silent", 1, 10)
    feed_errors(judge, rng, 30, 0.05)
    return judge


def test_text_shows_each_metric_beside_its_control() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    feed_errors(judge, np.random.default_rng(0), 30, 0.05)
    title, row = as_text(judge.current()).splitlines()
    assert title == "v2: rollback"
    assert row.endswith("harmful")
    assert row.rindex("|") < row.rindex("o")


def test_text_of_a_metric_without_data() -> None:
    judge = ReleaseJudge.begin("v2", 0)
    judge.observe_count(0, "control", "errors", 1, 10)
    judge.observe_count(MINUTE, "control", "errors", 1, 10)
    assert as_text(judge.current()).splitlines()[1] == f"errors [{' ' * 41}] no-data"


def test_svg_is_well_formed_and_escaped() -> None:
    verdict = judged().current()
    root = ElementTree.fromstring(as_svg(verdict))  # noqa: S314 - our own output
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert texts[0] == f"v2 <b>: {verdict.verdict}"
    with_data = [seen for seen in verdict.per_metric if seen.ratio is not None]
    assert len(list(root.iter(f"{SVG}circle"))) == len(with_data)
    assert all(any(text == seen.metric for text in texts) for seen in verdict.per_metric)


def test_a_watch_without_verdicts_has_an_empty_picture() -> None:
    watch = TargetWatch()
    assert watch.judge is None
    assert as_text(ReleaseJudge.begin("v2", 0).current()) == "v2: continue"
