"""Flags on a real topic: rules, the OpenFeature provider, hands that make a percentage a canary's step."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiokafka.admin import NewTopic
from hypothesis import given
from hypothesis import strategies as st
from openfeature import api
from openfeature.evaluation_context import EvaluationContext
from openfeature.flag_evaluation import Reason

from actuators import ConfigurationError, UnknownTarget
from schemas import Command, Flag, Promote, Rollback, SetTraffic, encode
from schemas.command import Action
from streams.config import KafkaConfig
from streams.features import by_default, by_flags
from streams.flags.hands import FlagHands, make
from streams.flags.provider import TidegateProvider
from streams.flags.rules import FlagError, check, choose
from tests.integration.harness import make_topics, produce, until

UNITS = [f"user-{number}" for number in range(400)]


def flag(percent: float, version: int = 1, **fields: object) -> Flag:
    fixed = {"key": "new", "variants": {"on": True, "off": False}, "default": "off"}
    return Flag(**{**fixed, "percents": {"on": percent}, "version": version, **fields})  # type: ignore[arg-type]


@given(st.floats(0, 100).map(lambda percent: round(percent, 2)), st.text(max_size=20))
def test_a_growing_share_takes_in_more_and_lets_none_go(percent: float, unit: str) -> None:
    more = min(100.0, round(percent + 10, 2))
    if choose(flag(percent), unit).value:
        assert choose(flag(more), unit).value
    assert choose(flag(100.0), unit).value
    assert not choose(flag(0.0), unit).value


def test_a_share_is_about_as_large_as_it_says() -> None:
    taken = sum(choose(flag(25.0), unit).value for unit in UNITS)
    assert 70 <= taken <= 130  # binomial(400, 0.25), four standard deviations


def test_no_unit_and_a_flag_that_is_off_get_the_default() -> None:
    assert choose(flag(50.0), None).variant == "off"
    assert choose(flag(100.0), None).variant == "on"
    assert choose(flag(100.0, enabled=False), "ann").variant == "off"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"default": "blue"}, "there is no variant blue"),
        ({"percents": {"red": 5.0}}, "there is no variant red"),
        ({"percents": {"on": 60.0, "off": 50.0}}, "more than 100"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_named(fields: dict[str, object], told: str) -> None:
    with pytest.raises(FlagError, match=told):
        check(flag(0.0, **fields))


def _command(action: Action, sequence: int, target: str = "shop") -> Command:
    return Command(
        id=f"{sequence}", target=target, sequence=sequence, action=action, reasons=["5 % went well"],
        issued_at=0, expires_at=1,
    )  # fmt: skip


@pytest.fixture
async def topic(kafka: str, prefix: str) -> str:
    """A compacted topic of this test's own."""
    name = f"{prefix}flags"
    await make_topics(kafka, NewTopic(name, 2, 1, topic_configs={"cleanup.policy": "compact"}))
    return name


@pytest.fixture
async def hands(kafka: str, prefix: str, topic: str) -> AsyncIterator[FlagHands]:
    made = make({"flags": {"shop": "new"}, "kafka": {"brokers": [kafka], "prefix": prefix}}, {})
    yield made
    await made.close()


@pytest.mark.kafka
async def test_a_canarys_steps_are_the_percentage_that_an_application_sees(
    kafka: str, topic: str, hands: FlagHands
) -> None:
    await hands.apply(_command(SetTraffic(release="v2", percent=5.0), 1))
    provider = TidegateProvider(topic=topic, connection={"bootstrap_servers": kafka})
    await asyncio.to_thread(api.set_provider_and_wait, provider, "shop")
    client = api.get_client("shop")
    try:

        async def share() -> float:
            contexts = (EvaluationContext(targeting_key=unit) for unit in UNITS)
            return sum(client.get_boolean_value("new", False, context) for context in contexts) / len(UNITS)

        assert 0.01 < await share() < 0.1, "read before the provider is ready"
        details = client.get_boolean_details("new", False, EvaluationContext(targeting_key="user-1"))
        assert details.reason == Reason.SPLIT
        steps: list[tuple[Action, float, float]] = [
            (SetTraffic(release="v2", percent=50.0), 0.4, 0.6),
            (Promote(release="v2"), 1.0, 1.0),
            (Rollback(release="v2", to="v1"), 0.0, 0.0),
        ]
        for sequence, (action, low, high) in enumerate(steps, start=2):
            applied = await hands.apply(_command(action, sequence))
            assert "flag new" in applied.detail
            await until(share, lambda seen, low=low, high=high: low <= seen <= high, what=str(action))  # type: ignore[misc]
        wrong = client.get_string_details("new", "nothing")
        assert (wrong.value, wrong.error_code) == ("nothing", "TYPE_MISMATCH")
        absent = client.get_boolean_details("absent", True)
        assert (absent.value, absent.error_code) == (True, "FLAG_NOT_FOUND")
    finally:
        await asyncio.to_thread(provider.shutdown)


@pytest.mark.kafka
async def test_older_and_broken_rules_do_not_replace_what_holds(kafka: str, topic: str) -> None:
    broken = flag(100.0, version=9, default="blue")
    written = [flag(100.0, version=5), flag(0.0, version=4), broken]
    await produce(kafka, topic, [("new", encode(each)) for each in written] + [("new", b"nonsense")])
    provider = TidegateProvider(topic=topic, connection={"bootstrap_servers": kafka})
    await asyncio.to_thread(api.set_provider_and_wait, provider, "older")
    try:
        assert api.get_client("older").get_boolean_value("new", False)
    finally:
        await asyncio.to_thread(provider.shutdown)


@pytest.mark.kafka
async def test_the_pipelines_own_features_follow_their_flags(kafka: str, prefix: str, topic: str) -> None:
    rule = Flag(
        key="tidegate.hold-failing-release", variants={"on": True, "off": False}, default="off", version=1
    )
    await produce(kafka, topic, [(rule.key, encode(rule))])
    config = KafkaConfig(brokers=(kafka,), prefix=prefix, group=prefix)
    enabled, stop = await asyncio.to_thread(by_flags, config, {"bootstrap_servers": kafka})
    try:
        assert by_default("hold-failing-release", "shop")

        async def on() -> bool:
            return enabled("hold-failing-release", "shop")

        await until(on, lambda is_on: not is_on, what="the flag")
    finally:
        await asyncio.to_thread(stop)


async def test_targets_and_parameters_that_do_not_fit_are_named() -> None:
    with pytest.raises(UnknownTarget, match="no flag is configured for target other; configured: shop"):
        await make({"flags": {"shop": "new"}}, {}).apply(_command(Promote(release="v2"), 1, "other"))
    with pytest.raises(ConfigurationError, match="actuator flags"):
        make({"flag": "new"}, {})
