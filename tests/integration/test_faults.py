"""What goes wrong in production, on a real Kafka and Redis: nothing is lost, no command runs twice."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from streams.embedded import EmbeddedLedger, free_port
from tests.actuators.receiver import answer, hang, receiving
from tests.integration.harness import (
    Setting,
    WorkerProcess,
    caught_up,
    make_topics,
    messages,
    own_broker,
    payload,
    produce,
    sample,
    tidegate,
    until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]

STEP_MS = 60_000


@pytest.fixture
def setting(kafka: str, redis_url: str, prefix: str, tmp_path: Path) -> Setting:
    """A plain worker configuration of this test's own."""
    return Setting(path=tmp_path / "tidegate.toml", kafka=kafka, redis=redis_url, prefix=prefix).write()


@pytest.fixture
def worker(setting: Setting, tmp_path: Path) -> Iterator[WorkerProcess]:
    """A worker process, not started yet; killed at the end where it still runs."""
    process = WorkerProcess(setting, tmp_path / "worker.log")
    yield process
    process.kill()


def _scaled(setting: Setting, actuator: str) -> Setting:
    """The setting with one target that is scaled through `actuator`."""
    toml = f"""
{actuator}
[[targets]]
name = "shop"
labels = {{ service = "shop" }}
actuator = "platform"
load = "rps"
command_ttl_s = 100000
[targets.scale]
capacity = 10.0
planner = "reactive"
max = 200
"""
    return Setting(
        path=setting.path, kafka=setting.kafka, redis=setting.redis, prefix=setting.prefix, toml=toml
    ).write()


def _webhook(url: str, **params: object) -> str:
    given = ", ".join(f"{name} = {json.dumps(value)}" for name, value in {"url": url, **params}.items())
    return f'[actuators.platform]\nkind = "webhook"\nparams = {{ {given} }}\n'


def _ramp(steps: int, start: int) -> list[tuple[str, bytes]]:
    """A load that doubles every ten minutes: each doubling asks for more replicas."""
    return [
        ("shop", payload(sample("rps", start + i * STEP_MS, 50.0 * 2 ** (i // 10), service="shop")))
        for i in range(steps)
    ]


def _ago(steps: int) -> int:
    return (time.time_ns() // 1_000_000) - steps * STEP_MS


async def test_bad_records_are_set_aside_and_the_good_ones_go_on(
    setting: Setting, worker: WorkerProcess
) -> None:
    await worker.start().ready()
    start = _ago(100)
    good = [payload(sample("m", start + i * STEP_MS, 1.0 + i % 3, pod="a")) for i in range(50)]
    bad = [
        b"\x00\xff\xfe",
        b'{"metric": "m"',
        b'{"metric":"m","labels":{"pod":"a"},"ts":1700000000000,"value":"many"}',
        b'{"metric":"m","labels":{"pod":"a"},"ts":4102444800000,"value":1}',
        b"[" * 5_000,
        b'{"metric":"m","labels":{"pod":"' + b"x" * 10_000_000 + b'"},"ts":1700000000000,"value":1}',
    ]
    mixed = [*good[:25], *bad, *good[25:]]
    await produce(setting.kafka, setting.topic("metrics"), mixed)
    await caught_up(setting, "metrics", alive=[worker])
    letters = await messages(setting, "dead-letters")
    assert len(letters) == len(bad)
    assert all(letter.reason for letter in letters)
    huge = max(letters, key=lambda letter: letter.size)
    assert huge.size > 10_000_000
    assert len(huge.value) < 400_000
    assert await worker.stop() == 0


async def test_a_worker_waits_for_a_broker_that_is_not_there(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    setting = Setting(
        path=tmp_path / "t.toml", kafka=f"127.0.0.1:{free_port()}", redis=redis_url, prefix=prefix
    ).write()
    worker = WorkerProcess(setting, tmp_path / "worker.log").start()
    try:
        await worker.says(rf"no Kafka broker answers at\s+{setting.kafka}")
        assert await worker.stop() == 0
    finally:
        worker.kill()


async def test_a_broker_that_goes_away_for_a_while_loses_nothing(
    redis_url: str, prefix: str, tmp_path: Path
) -> None:
    async with own_broker() as cluster:
        setting = Setting(
            path=tmp_path / "t.toml", kafka=cluster.address, redis=redis_url, prefix=prefix
        ).write()
        worker = WorkerProcess(setting, tmp_path / "worker.log")
        try:
            await worker.start().ready()
            start = _ago(400)
            records = [payload(sample("m", start + i * STEP_MS, float(i % 7), pod="a")) for i in range(300)]
            await produce(setting.kafka, setting.topic("metrics"), records[:150])
            await caught_up(setting, "metrics", alive=[worker])
            node = cluster.nodes[0]
            await asyncio.to_thread(node.kill)
            await asyncio.to_thread(node.start)
            await cluster.ready()
            await produce(setting.kafka, setting.topic("metrics"), [*records[150:], payload(
                sample("m", start + 300 * STEP_MS, 9_000.0, pod="a")
            )])  # fmt: skip
            await caught_up(setting, "metrics", alive=[worker])
            found = {anomaly.ts for anomaly in await messages(setting, "anomalies")}
            assert start + 300 * STEP_MS in found
            assert await worker.stop() == 0
        finally:
            worker.kill()


async def test_without_redis_nothing_acts_and_with_it_everything_once(
    setting: Setting, tmp_path: Path
) -> None:
    ledger = EmbeddedLedger(free_port())
    async with receiving(answer(200)) as receiver:
        scaled = _scaled(
            Setting(path=setting.path, kafka=setting.kafka, redis=ledger_url(ledger), prefix=setting.prefix),
            _webhook(receiver.url),
        )
        worker = WorkerProcess(scaled, tmp_path / "worker.log")
        try:
            await worker.start().ready()
            await produce(scaled.kafka, scaled.topic("metrics"), _ramp(40, _ago(40)))
            await until(
                lambda: messages(scaled, "commands"),
                lambda found: len(found) >= 3,
                what="commands are issued",
            )
            await worker.says("ledger")
            assert receiver.requests == []
            await ledger.start()
            await caught_up(scaled, "metrics", "signals", "commands", alive=[worker])
            commands = {command.id for command in await messages(scaled, "commands")}
            outcomes = Counter(
                o.command for o in await messages(scaled, "outcomes") if o.status == "executed"
            )
            assert set(outcomes) == commands
            keys = Counter(request.headers["Idempotency-Key"] for request in receiver.requests)
            assert keys == Counter(commands)
            assert await worker.stop() == 0
        finally:
            worker.kill()
            await ledger.stop()


def ledger_url(ledger: EmbeddedLedger) -> str:
    """Where the ledger will be, before it has started."""
    return f"redis://127.0.0.1:{ledger.port}/0"


async def test_a_webhook_that_fails_or_hangs_holds_up_nobody_else(setting: Setting, tmp_path: Path) -> None:
    async with receiving(answer(500)) as broken, receiving(hang) as hanging, receiving(answer(200)) as fine:
        tables = "".join(
            f'[actuators.{name}]\nkind = "webhook"\n'
            f'params = {{ url = "{receiver.url}", timeout_s = 1.0, attempts = 2 }}\n'
            for name, receiver in (("broken", broken), ("hanging", hanging), ("fine", fine))
        )
        targets = "".join(
            f'[[targets]]\nname = "{name}"\nlabels = {{ service = "{name}" }}\nactuator = "{name}"\n'
            f'load = "rps"\ncommand_ttl_s = 100000\n[targets.scale]\ncapacity = 10.0\nplanner = "reactive"\n'
            for name in ("broken", "hanging", "fine")
        )
        scaled = Setting(
            path=setting.path, kafka=setting.kafka, redis=setting.redis, prefix=setting.prefix,
            toml=tables + targets,
        ).write()  # fmt: skip
        worker = WorkerProcess(scaled, tmp_path / "worker.log")
        try:
            await worker.start().ready()
            start = _ago(12)
            load = [
                (name, payload(sample("rps", start + i * STEP_MS, 50.0 * 2 ** (i // 10), service=name)))
                for i in range(12)
                for name in ("broken", "hanging", "fine")
            ]
            await produce(scaled.kafka, scaled.topic("metrics"), load)
            await caught_up(scaled, "metrics", "signals", "commands", alive=[worker])
            outcomes = await messages(scaled, "outcomes")
            by_target = {name: {o.status for o in outcomes if o.target == name} for name in
                         ("broken", "hanging", "fine")}  # fmt: skip
            assert by_target == {"broken": {"failed"}, "hanging": {"failed"}, "fine": {"executed"}}
            assert all("500" in o.detail for o in outcomes if o.target == "broken")
            issued = {command.id for command in await messages(scaled, "commands")}
            assert {outcome.command for outcome in outcomes} == issued
            assert await worker.stop() == 0
        finally:
            worker.kill()


async def test_a_dead_letter_topic_that_takes_nothing_large_stops_nothing(
    setting: Setting, worker: WorkerProcess
) -> None:
    small = NewTopic(setting.topic("dead-letters"), 2, 1, topic_configs={"max.message.bytes": "2000"})
    await make_topics(setting.kafka, small)
    await worker.start().ready()
    start = _ago(10)
    noise = random.Random(1).randbytes(50_000).hex().encode()  # nothing that compression makes small
    bad = b'{"metric":"m","value":"' + noise + b'"}'
    good = [payload(sample("m", start + i * STEP_MS, 1.0, pod="a")) for i in range(5)]
    await produce(setting.kafka, setting.topic("metrics"), [*good[:2], bad, *good[2:]])
    await caught_up(setting, "metrics", alive=[worker])
    (letter,) = await messages(setting, "dead-letters")
    assert letter.value is None
    assert letter.size == len(bad)
    assert await worker.stop() == 0


async def test_topics_that_do_not_fit_or_are_not_there_are_named(
    setting: Setting, worker: WorkerProcess
) -> None:
    await make_topics(setting.kafka, NewTopic(setting.topic("metrics"), 5, 1))
    assert await worker.start().ended() == 1
    assert "metrics has 5 partitions, kafka.partitions is 2" in worker.text
    code, said = await tidegate("tail", "anomalies", "-c", str(setting.path))
    assert code == 1
    assert f"there is no topic {setting.topic('anomalies')}" in said


async def test_check_says_what_is_right_and_what_is_wrong(setting: Setting, worker: WorkerProcess) -> None:
    code, said = await tidegate("check", "-c", str(setting.path))
    assert code == 0, said
    assert "answers" in said
    wrong = Setting(
        path=setting.path, kafka=f"127.0.0.1:{free_port()}", redis=f"redis://127.0.0.1:{free_port()}/0",
        prefix=setting.prefix,
    ).write()  # fmt: skip
    code, said = await tidegate("check", "-c", str(wrong.path))
    assert code == 1
    assert f"no broker answers at {wrong.kafka}" in said
    assert "mend ledger.url" in said
    setting.path.write_text("[kafka]\npartition = 3\n")
    code, said = await tidegate("check", "-c", str(setting.path))
    assert code == 1
    assert "did you mean `partitions`?" in said


async def test_a_paused_target_is_left_alone_until_it_is_resumed(setting: Setting, tmp_path: Path) -> None:
    async with receiving(answer(200)) as receiver:
        scaled = _scaled(setting, _webhook(receiver.url))
        code, said = await tidegate("pause", "shop", "-c", str(scaled.path), "--reason", "a test")
        assert (code, "paused: shop" in said) == (0, True)
        worker = WorkerProcess(scaled, tmp_path / "worker.log")
        try:
            await worker.start().ready()
            ramp = _ramp(60, _ago(60))
            await produce(scaled.kafka, scaled.topic("metrics"), ramp[:30])
            await caught_up(scaled, "metrics", "signals", "commands", alive=[worker])
            paused = await messages(scaled, "outcomes")
            assert {outcome.status for outcome in paused} == {"paused"}
            assert receiver.requests == []
            code, said = await tidegate("resume", "shop", "-c", str(scaled.path))
            assert (code, "resumed: shop" in said) == (0, True)
            await produce(scaled.kafka, scaled.topic("metrics"), ramp[30:])
            await caught_up(scaled, "metrics", "signals", "commands", alive=[worker])
            later = (await messages(scaled, "outcomes"))[len(paused) :]
            assert {outcome.status for outcome in later} == {"executed"}
            assert await worker.stop() == 0
        finally:
            worker.kill()
