"""Signed commands from the planner to the hands, on a real Kafka: what no known key signed is refused."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actuators.signing import Signer, generate_pem
from schemas import Command, Outcome, Scale, encode
from tests.integration.conftest import NewWorker
from tests.integration.harness import (
    Setting,
    caught_up,
    messages,
    payload,
    produce,
    sample,
    tidegate,
    until,
)

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]

TARGETS = """
[[targets]]
name = "shop"
labels = { service = "shop" }
load = "rps"
command_ttl_s = 100000
[targets.scale]
capacity = 10.0
planner = "reactive"
max = 200

[[targets]]
name = "search"
"""


def asked(target: str, number: int, **fields: Any) -> Command:
    now = time.time_ns() // 1_000_000
    given = {
        "id": f"{target}:scale:{number}", "target": target, "sequence": number,
        "action": Scale(replicas=number, previous=1), "reasons": ["a test"],
        "issued_at": now, "expires_at": now + 60_000,
    }  # fmt: skip
    return Command(**(given | fields))


async def test_only_what_a_known_key_signed_is_executed(
    setting: Callable[..., Setting], worker: NewWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, words = await tidegate("keys", "new", "planner", "--out", str(tmp_path))
    assert code == 0, words
    toml = words[words.index("[signing]") :]
    secret_file = tmp_path / "planner.key"
    assert secret_file.stat().st_mode & 0o777 == 0o600
    (tmp_path / "old.pem").write_bytes(generate_pem())
    old = Signer.from_pem("old", (tmp_path / "old.pem").read_bytes())
    toml += f"""
[[signing.trusted]]
id = "old"
targets = ["search"]
public_key = '''{old.public_pem().decode()}'''
"""
    made = setting(toml + TARGETS)
    code, words = await tidegate("keys", "list", "-c", str(made.path))
    assert code == 0
    assert "trusted: old, for search" in words
    process = await worker(made).ready()

    planner = Signer.from_pem("planner", secret_file.read_bytes())
    stranger = Signer.from_pem("planner", generate_pem())
    good = planner.sign(asked("search", 1))
    past = time.time_ns() // 1_000_000 - 1
    sent = {
        "unsigned": asked("search", 2),
        "forged": stranger.sign(asked("search", 3)),
        "altered": msgspec.structs.replace(planner.sign(asked("search", 4)), expires_at=past + 10**9),
        "beyond its targets": old.sign(asked("shop", 5)),
        "expired": planner.sign(asked("search", 6, expires_at=past)),
        "of the old key": old.sign(asked("search", 7)),
        "good": good,
        "replayed": good,
    }
    # One partition key each time, so that they come in this order.
    await produce(
        made.kafka, made.topic("commands"), [("search", encode(each)) for each in [good, *sent.values()]]
    )
    await caught_up(made, "commands", alive=[process])
    outcomes: list[Outcome] = await messages(made, "outcomes")
    told = [(each.command, each.status) for each in outcomes if each.target == "search"]
    assert told[0] == ("search:scale:1", "executed")
    statuses = dict(told[1:6])
    assert statuses == {
        "search:scale:2": "unauthorised",
        "search:scale:3": "unauthorised",
        "search:scale:4": "unauthorised",
        "search:scale:6": "expired",
        "search:scale:7": "executed",
    }
    assert told[6:] == [("search:scale:1", "duplicate")] * 2
    details = {outcome.command: outcome.detail for outcome in outcomes}
    assert "not signed" in details["search:scale:2"]
    assert "forged or altered" in details["search:scale:4"]
    (beyond,) = [each for each in outcomes if each.target == "shop"]
    assert (beyond.status, "may not command 'shop'" in beyond.detail) == ("unauthorised", True)

    # What the planner itself decides is signed, and passes.
    start = (time.time_ns() // 1_000_000) // 60_000 * 60_000 - 40 * 60_000
    load = [
        ("shop", payload(sample("rps", start + i * 60_000, 50.0 * 2 ** (i // 10), service="shop")))
        for i in range(40)
    ]
    await produce(made.kafka, made.topic("metrics"), load)

    async def decided() -> list[Command]:
        return [
            each for each in await messages(made, "commands") if each.target == "shop" and each.sequence > 5
        ]

    commands = await until(decided, lambda found: len(found) >= 2, what="the planner commands")
    assert {each.key_id for each in commands} == {"planner"}

    async def executed() -> set[str]:
        return {each.command for each in await messages(made, "outcomes") if each.status == "executed"}

    await until(
        executed, lambda done: {each.id for each in commands} <= done, what="its commands are executed"
    )
    await process.stop()
    lines = re.findall(r"^[A-Za-z0-9+/]{20,}$", secret_file.read_text(), re.MULTILINE)
    assert lines
    assert not any(line in process.text for line in lines)


async def test_a_planner_without_its_key_does_not_start(
    setting: Callable[..., Setting], worker: NewWorker
) -> None:
    made = setting('[signing]\nkey_id = "planner"\n' + TARGETS)
    process = worker(made)
    assert await process.ended() == 1
    assert "signing.private_key: environment variable TIDEGATE_SIGNING_KEY is not set" in process.text
    code, words = await tidegate("check", "-c", str(made.path))
    assert code == 1
    assert "TIDEGATE_SIGNING_KEY is not set" in words
    assert "signatures are made and not looked at" in words
