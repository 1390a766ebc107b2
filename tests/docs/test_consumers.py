"""The page on the contract runs as it stands, on a real Kafka; what is written fits the published schemas."""

import asyncio
import json
import os
import re
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from aiokafka.admin import NewTopic
from aiokafka.partitioner import murmur2

from schemas import Deployment, Rollback, Sample, decode, encode, series_key
from streams.contract import MESSAGES, TOPICS, json_schema
from tests.deploy.conftest import program
from tests.integration.harness import make_topics, produce, records, until
from tests.schemas.messages import EXAMPLES
from tests.serve.messages import T0, command

PAGE = (Path(__file__).parents[2] / "docs" / "consumers.md").read_text()
PARTITIONS = 8
INTERNAL = ("signal", "control", "tick")


def _module(file: str) -> Any:
    found = re.search(rf"^```python file={re.escape(file)}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    made: Any = types.ModuleType(file.removesuffix(".py"))
    exec(compile(found[1], file, "exec"), made.__dict__)  # noqa: S102
    return made


def _partition(key: bytes) -> int:
    return int((murmur2(key) & 0x7FFFFFFF) % PARTITIONS)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in INTERNAL])
def test_examples_fit_the_published_schemas(name: str) -> None:
    title = next(each for each, kind in MESSAGES.items() if kind is type(EXAMPLES[name]))
    validator = jsonschema.Draft202012Validator(json_schema(title))
    plain = json.loads(encode(EXAMPLES[name]))
    validator.validate(plain)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(plain | {"schema": "other/1"})


def test_every_topic_of_the_contract_is_on_the_page() -> None:
    told = re.findall(r"^\| `([a-z-]+)`(?: \(you write\))? \|", PAGE, re.MULTILINE)
    assert set(told) == set(TOPICS)


@pytest.mark.kafka
async def test_the_consumer_acts_once_in_order_and_in_time(kafka: str, prefix: str) -> None:
    module = _module("consumer.py")
    topic = f"{prefix}commands"
    await make_topics(kafka, NewTopic(topic, 1, 1))
    first, second = command(3, sequence=T0), command(5, sequence=T0 + 10)
    rollback = command(1, sequence=T0 + 20)
    sent = [
        encode(first),
        encode(first),
        encode(second),
        encode(first),
        encode(command(9, sequence=T0 - 10**9)),
        encode(command(9, sequence=T0 - 10**9, target="search")),
        encode(msgspec.structs.replace(rollback, action=Rollback(release="v2", to=None))),
        json.dumps(json.loads(encode(rollback)) | {"schema": "command/2"}).encode(),
    ]
    await produce(kafka, topic, sent)
    acted: list[tuple[str, int]] = []
    skipped: list[str] = []
    done: dict[str, int] = {}

    async def act(target: str, replicas: int) -> None:
        acted.append((target, replicas))

    async def run() -> None:
        await module.consume(
            kafka, topic, group=f"{prefix}g", act=act, done=done, clock=lambda: T0 + 100,
            skipped=lambda _, why: skipped.append(why),
        )  # fmt: skip

    running = asyncio.create_task(run())

    async def dealt_with() -> int:
        if running.done():
            running.result()
        return len(acted) + len(skipped)

    await until(dealt_with, lambda count: count == len(sent), what="all commands are dealt with")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert acted == [("checkout", 3), ("checkout", 5)]
    assert skipped == [
        *["this one or a newer one has acted"] * 3,
        "expired",
        "cannot rollback",
        "schema 'command/2' is not known",
    ]


@pytest.mark.kafka
async def test_the_producer_keys_as_the_contract_says(kafka: str, prefix: str) -> None:
    module = _module("producer.py")
    topic = f"{prefix}metrics"
    await make_topics(kafka, NewTopic(topic, PARTITIONS, 1))
    labels = {"service": 'a "quoted" \\ one', "zone": "ü"}
    async with module.Metrics(kafka, topic, zone="ü") as metrics:
        await metrics.send("latency", 0.5, ts_ms=T0, service=labels["service"])
        await metrics.send("up", 1.0)
    found = {record.key: record for record in await records(kafka, topic)}
    record = found[series_key("latency", labels).encode()]
    assert decode(record.value or b"", Sample) == Sample(metric="latency", labels=labels, ts=T0, value=0.5)
    assert record.partition == _partition(record.key or b"")
    assert set(found) == {series_key("latency", labels).encode(), b'up{zone="\xc3\xbc"}'}


@pytest.mark.kafka
async def test_the_shell_lines_do_what_they_say(kafka: str, prefix: str) -> None:
    program("kcat", "kafkacat")
    await make_topics(
        kafka, *(NewTopic(prefix + name, PARTITIONS, 1) for name in ("metrics", "events", "commands"))
    )
    await produce(kafka, f"{prefix}commands", [("checkout", encode(command(4)))])
    script = "set -eu\n" + "\n".join(re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
    environ = os.environ | {"BROKERS": kafka, "PREFIX": prefix}
    done = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", script], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"checkout {encode(command(4)).decode()}\n"
    (written,) = await records(kafka, f"{prefix}metrics")
    sample = decode(written.value or b"", Sample)
    assert (written.key or b"").decode() == series_key(sample.metric, sample.labels)
    assert written.partition == _partition(written.key or b"")
    (event,) = await records(kafka, f"{prefix}events")
    assert decode(event.value or b"", Deployment).release == "v2"


def test_the_command_line_prints_what_the_page_says() -> None:
    for name in ("command", "asyncapi"):
        words = [sys.executable, "-m", "streams", "schema", name]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)
