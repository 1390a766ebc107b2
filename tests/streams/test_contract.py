"""The published contract describes the messages as they travel."""

import json

import msgspec
import pytest

from schemas import SchemaError
from streams.contract import MESSAGES, TOPICS, contract
from streams.topics import INTERNAL
from streams.topics import TOPICS as SPECS
from tests.schemas.messages import EXAMPLES


def test_every_topic_but_the_internal_ones_is_in_it() -> None:
    assert set(TOPICS) == {spec.name for spec in SPECS} - {spec.name for spec in INTERNAL}


def test_every_reference_leads_somewhere() -> None:
    document = json.loads(contract("asyncapi"))

    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if "$ref" in node else []
            return own + [ref for value in node.values() for ref in references(value)]
        return [ref for value in node for ref in references(value)] if isinstance(node, list) else []

    found = references(document)
    assert found
    for reference in found:
        place = document
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_have_exactly_the_fields_of_their_schema(name: str) -> None:
    kind = type(EXAMPLES[name])
    title = next((each for each, known in MESSAGES.items() if known is kind), None)
    if title is None:
        assert name in ("signal", "control", "tick")  # internal
        return
    schema = json.loads(contract(title))
    fields = schema["$defs"][kind.__name__]["properties"]
    assert set(msgspec.to_builtins(EXAMPLES[name])) == set(fields)


def test_an_unknown_message_is_named() -> None:
    with pytest.raises(SchemaError, match="no message `comand`; known: alert"):
        contract("comand")
