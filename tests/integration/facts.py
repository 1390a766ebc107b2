"""What a run leaves behind, in a form in which two runs of the same input must be equal."""

from dataclasses import dataclass
from typing import Any

import msgspec

from schemas import SchemaError, decode
from streams.exports import newest
from streams.planning import TargetState
from streams.series_rows import Block
from streams.steering import STEERING
from tests.integration.harness import KINDS, Setting, records
from tests.integration.receiver import Receiver


@dataclass(frozen=True)
class Facts:
    """Messages by their identity, effects in their order by kind, state by block and by target.

    Of an incident there is the newest message: how many there are depends on how alerts are batched.
    """

    anomalies: dict[str, Any]
    alerts: dict[tuple[str, str, int], Any]
    incidents: dict[str, Any]
    commands: dict[str, Any]
    releases: dict[str, Any]
    statuses: dict[str, set[str]]
    dead_letters: set[tuple[str, int, int, str]]
    series: dict[tuple[int, bytes], Any]
    targets: dict[str, Any]
    executed: dict[str, list[str]]


async def facts(setting: Setting, receiver: Receiver) -> Facts:
    """Read everything back from the topics; messages that were written twice must be the same twice."""
    read = {name: await _plain(setting, name) for name in KINDS}
    statuses: dict[str, set[str]] = {}
    for outcome in read["outcomes"]:
        if outcome["status"] != "duplicate":
            statuses.setdefault(outcome["command"], set()).add(outcome["status"])
    return Facts(
        anomalies=_once(read["anomalies"], lambda m: m["id"]),
        alerts=_once(
            [message for message in read["alerts"] if "causes" not in message],
            lambda m: (m["fingerprint"], m["state"], m["changed_at"]),
        ),
        incidents={message["fingerprint"]: message for message in read["alerts"] if "causes" in message},
        commands=_once(read["commands"], lambda m: m["id"]),
        releases=_once(read["releases"], lambda m: m["id"]),
        statuses=statuses,
        dead_letters={(m["topic"], m["partition"], m["offset"], m["reason"]) for m in read["dead-letters"]},
        series=await _series(setting),
        targets=await _targets(setting),
        executed=_by_kind(receiver),
    )


def _by_kind(receiver: Receiver) -> dict[str, list[str]]:
    """Commands in their order of acting, by kind: commands of different kinds do not wait for each other."""
    kinds: dict[str, list[str]] = {}
    for command in receiver.effects.values():
        kinds.setdefault(command.kind, []).append(command.id)
    return kinds


async def _plain(setting: Setting, name: str) -> list[dict[str, Any]]:
    """Messages as plain data, without what differs between runs: topic prefix and wall-clock times."""
    plain = []
    for record in await records(setting.kafka, setting.topic(name)):
        text = (record.value or b"").replace(setting.prefix.encode(), b"")
        try:
            message = msgspec.to_builtins(decode(text, KINDS[name]))
        except SchemaError as error:
            raise AssertionError(f"{record.topic} {record.offset}: {error}: {text[:300]!r}") from error
        plain.append({key: value for key, value in message.items() if key not in ("produced_at", "at")})
    return plain


def _once(messages: list[dict[str, Any]], key: Any) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for message in messages:
        first = found.setdefault(key(message), message)
        assert first == message, f"two messages of one identity differ: {first} and {message}"
    return found


async def newest_blocks(setting: Setting, stage: str) -> dict[tuple[int, bytes], bytes]:
    """The blocks of a state changelog by partition and key, as a recovery would see them."""
    topic = f"{setting.prefix}workers-{stage}-state-changelog"
    found = await newest(topic, {"bootstrap_servers": setting.kafka})
    return {(number, key): block for number, each in found.items() for key, block in each.blocks.items()}


async def _series(setting: Setting) -> dict[tuple[int, bytes], Any]:
    """Models and alerts of all series; where in the input a block was written differs between runs."""
    return {
        place: msgspec.structs.replace(msgspec.msgpack.decode(data, type=Block), offset=0)
        for place, data in (await newest_blocks(setting, "detect")).items()
        if place[1] not in STEERING
    }


async def _targets(setting: Setting) -> dict[str, Any]:
    blocks = (await newest_blocks(setting, "plan")).values()
    states = [msgspec.msgpack.decode(data, type=TargetState) for data in blocks]
    for state in states:
        state.order.reached.clear()  # who is waited for depends on the wall clock
        if state.releases is not None and state.releases.rollout is not None:
            state.releases.rollout.newest = 0  # the time of a target that was silent is the clock's
    return {state.target: msgspec.to_builtins(state) for state in states}
