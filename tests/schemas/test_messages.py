"""The wire format: a golden file per message and version; decoding is strict and names the path."""

from pathlib import Path

import msgspec
import pytest

from schemas import Command, Deployment, Event, Message, Sample, SchemaError, decode, encode
from tests.schemas.messages import EXAMPLES

GOLDEN = Path(__file__).parent / "golden"


def _version(message: Message) -> str:
    tag = type(message).__struct_config__.tag
    assert isinstance(tag, str)
    return tag.partition("/")[2]


@pytest.mark.parametrize("name", EXAMPLES)
def test_wire_format_is_that_of_the_golden_file(name: str) -> None:
    message = EXAMPLES[name]
    golden = (GOLDEN / f"{name}.v{_version(message)}.json").read_bytes()
    assert msgspec.json.format(encode(message), indent=2) + b"\n" == golden
    assert decode(golden, type(message)) == message


def test_every_golden_file_has_its_message() -> None:
    assert {file.name for file in GOLDEN.glob("*.json")} == {
        f"{name}.v{_version(message)}.json" for name, message in EXAMPLES.items()
    }


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        (b'{"metric":"m","value":"many"}', Sample, "`$.value`"),
        (b'{"metric":"m","value":1,"labels":{"a":2}}', Sample, "`$.labels[...]`"),
        (b'{"metric":"m","value":1,"unit":"s"}', Sample, "unknown field `unit`"),
        (b'{"value":1}', Sample, "missing required field `metric`"),
        (b'{"schema":"sample/2","metric":"m","value":1}', Sample, "sample/2"),
        (b'{"metric":', Sample, "truncated"),
        (b"\xff\xfe", Sample, "malformed"),
        (b"[" * 100_000, Sample, "Expected `object`"),
        (
            encode(EXAMPLES["command-scale"]).replace(b'"kind":"scale"', b'"kind":"explode"'),
            Command,
            "explode",
        ),
        (b'{"schema":"deployment/1","target":"t","release":"r"}', Event, "`ts`"),
    ],
)
def test_bad_bytes_are_refused_with_the_place(text: bytes, kind: type, told: str) -> None:
    with pytest.raises(SchemaError) as raised:
        decode(text, kind)
    assert told in str(raised.value)


def test_events_are_told_apart_by_their_schema() -> None:
    event = EXAMPLES["deployment"]
    assert isinstance(decode(encode(event), Event), Deployment)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["scale", "rollback", "promote", "set-traffic", "place"])
def test_a_command_knows_its_kind(kind: str) -> None:
    command = EXAMPLES[f"command-{kind}"]
    assert isinstance(command, Command)
    assert command.kind == kind
