"""Matchers, rules and routes: what fits, and what the configuration is told where they say nothing."""

import pytest

from schemas import DeadLetter, Feedback, Silence, decode
from streams.config import AlertConfig, AlertRule, ConfigError, parse
from streams.matching import MatcherError, parse_matcher
from streams.planning import PlanPartition
from streams.rules import Rules
from tests.streams.records import START, message


@pytest.mark.parametrize(
    ("text", "labels", "fits"),
    [
        ('service="checkout"', {"service": "checkout"}, True),
        ("service=checkout", {"service": "checkout2"}, False),
        ('rack=~"r[12]"', {"rack": "r2"}, True),
        ('rack=~"r[12]"', {"rack": "r22"}, False),  # all of it
        ('rack!~"r.*"', {}, True),
        ("pod!=", {"pod": "a"}, True),
        ('pod=""', {}, True),  # absent is empty
        ('path="a\\"b"', {"path": 'a"b'}, True),
        ("dotted.name = x.y ", {"dotted.name": "x.y"}, True),
        ("a=x.y", {"a": "xzy"}, False),  # no regular expression
    ],
)
def test_what_fits(text: str, labels: dict[str, str], fits: bool) -> None:
    assert parse_matcher(text).matches(labels) is fits


@pytest.mark.parametrize("text", ["", "service", '="x"', 'a=~"("', 'a="x', "a==b c="])
def test_what_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(MatcherError, match="matcher"):
        parse_matcher(text)


def test_the_first_rule_that_fits_says_what_is_different() -> None:
    rules = Rules(
        AlertConfig(
            for_s=60,
            annotations={"team": "platform"},
            rules=(
                AlertRule(
                    matchers=("metric=up", "target=shop"), severity="critical", annotations={"page": "1"}
                ),
                AlertRule(matchers=("metric=up",), for_s=5, no_data_s=30),
            ),
        )
    )
    assert [rules.of("up", {}, "shop"), rules.of("up", {}, None), rules.of("cpu", {}, "shop")] == [1, 2, 0]
    assert rules.for_ms.tolist() == [60_000, 60_000, 5_000]
    assert rules.no_data_ms.tolist() == [0, 0, 30_000]
    assert (rules[1].severity, rules[1].annotations) == ("critical", {"team": "platform", "page": "1"})


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[[alerts.rules]]\nmatchers = ['a=~\"(\"']", r"alerts.rules\[0\].matchers: .*regular expression"),
        ("[[alerts.routes]]\nreceivers = ['pager']", r"no \[alerts.receivers.pager\] table; known: topic"),
        ("[alerts.receivers.a]\nkind = 'webhook'", "needs the key `url`, or `url_env`"),
        ("[alerts.receivers.topic]\nkind = 'webhook'\nurl = 'http://a'", "taken by the topic"),
        ("[alerts.receivers.a]\nkind = 'webhook'\nurl = 'http://a'\nexpire_s = 90", "must be twice resend_s"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(toml: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse(toml)


@pytest.mark.parametrize(
    "event",
    [
        Silence(id="s", matchers=['zone=~"("'], starts_at=0, ends_at=1),
        Feedback(series='m{a="b"', ts=START, verdict="real"),
    ],
)
def test_an_event_that_says_nothing_is_a_dead_letter(event: Silence | Feedback) -> None:
    (letter,) = PlanPartition(0, {}, partitions=3).process([message("events", 7, event)], START)
    assert letter.topic == "dead-letters"
    assert decode(letter.value, DeadLetter).offset == 7


def test_an_event_goes_to_each_partition_that_it_may_concern() -> None:
    events = [
        Silence(id="s", matchers=["zone=a"], starts_at=0, ends_at=1),
        Feedback(series='m{a="b"}', ts=START, verdict="real"),
    ]
    records = [message("events", offset, event) for offset, event in enumerate(events)]
    outputs = PlanPartition(0, {}, partitions=3).process(records, START)
    assert [(out.topic, out.partition) for out in outputs] == [
        *(("alert-control", number) for number in range(3)),
        *(("detect-control", number) for number in range(3)),
    ]
