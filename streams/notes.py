"""Writing to `events` what people say of alerts, and reading which silences the workers know."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from schemas import Feedback, MaintenanceWindow, SchemaError, Silence, encode, series_key
from streams.alerting import SILENCES
from streams.config import Config, KafkaConfig
from streams.exports import changelog, newest
from streams.ingest.labels import parse_key
from streams.matching import parse_matchers
from streams.suppression import Held


class NoteError(RuntimeError):
    """What was said cannot be used; the text says why and what to do."""


async def write(kafka: KafkaConfig, connection: Mapping[str, Any], key: str, event: msgspec.Struct) -> None:
    """Write one event; returns when the brokers have it.

    Raises:
        KafkaError: the brokers cannot be reached, or refuse it.
    """
    async with AIOKafkaProducer(**connection, acks="all") as producer:
        await producer.send_and_wait(f"{kafka.prefix}events", encode(event), key=key.encode())


async def add_silence(
    kafka: KafkaConfig,
    connection: Mapping[str, Any],
    *,
    matchers: Sequence[str],
    starts_at: int,
    ends_at: int,
    by: str,
    reason: str,
) -> Silence:
    """Tell a new silence; times are Unix ms.

    Raises:
        MatcherError: a matcher says nothing.
        KafkaError: the brokers cannot be reached.
    """
    parse_matchers(matchers)
    made = Silence(
        id=uuid.uuid4().hex[:12],
        matchers=list(matchers),
        starts_at=starts_at,
        ends_at=ends_at,
        by=by,
        reason=reason,
    )
    await write(kafka, connection, made.id, made)
    return made


async def held(config: Config, connection: Mapping[str, Any]) -> list[Silence | MaintenanceWindow]:
    """The silences and windows that the workers have written to their state, by their beginning."""
    found: dict[str, Silence | MaintenanceWindow] = {}
    for partition in (await newest(changelog(config, "alert"), connection)).values():
        if SILENCES in partition.blocks:
            known = msgspec.msgpack.decode(partition.blocks[SILENCES], type=Held)
            found.update(known.silences)
            found.update(known.windows)
    return sorted(found.values(), key=lambda each: (each.starts_at, each.id))


async def end_silence(config: Config, connection: Mapping[str, Any], identity: str, now_ms: int) -> None:
    """End a silence or a window at `now_ms`.

    Raises:
        NoteError: there is none of that id that has not ended.
        KafkaError: the brokers cannot be reached.
    """
    known = {each.id: each for each in await held(config, connection) if each.ends_at > now_ms}
    if identity not in known:
        there = ", ".join(known) or "none"
        raise NoteError(f"no silence {identity} that has not ended; known: {there}")
    ended = msgspec.structs.replace(known[identity], ends_at=now_ms)
    key = ended.target if isinstance(ended, MaintenanceWindow) and ended.target else identity
    await write(config.kafka, connection, key, ended)


async def say(
    kafka: KafkaConfig,
    connection: Mapping[str, Any],
    series: str,
    ts: int,
    verdict: str,
    *,
    side: str | None = None,
    anomaly: str | None = None,
    by: str = "",
) -> Feedback:
    """Tell feedback on a series at `ts` (Unix ms).

    Raises:
        NoteError: it is none.
        KafkaError: the brokers cannot be reached.
    """
    word = feedback_of(
        {"series": series, "ts": ts, "verdict": verdict, "side": side, "anomaly": anomaly, "by": by}
    )
    await write(kafka, connection, word.series, word)
    return word


def feedback_of(fields: Mapping[str, object]) -> Feedback:
    """Feedback with these fields, its series as it is named everywhere.

    Raises:
        NoteError: a field does not fit.
    """
    try:
        word = msgspec.convert({**fields, "schema": "feedback/1"}, Feedback)
        return msgspec.structs.replace(word, series=series_key(*parse_key(word.series)))
    except (msgspec.ValidationError, SchemaError) as error:
        raise NoteError(f"feedback: {error}") from error
