"""Samples for the worker of a test, and what it says on `alerts`."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from schemas import Alert, Incident, decode, encode
from tests.integration.harness import Setting, payload, produce, records, sample, until

STEP_MS = 60_000

Samples = list[dict[str, object]]
M = TypeVar("M", Alert, Incident)


def steady(metric: str, start: int, count: int, *, level: float = 100.0, **labels: str) -> Samples:
    """`count` samples a minute apart around `level`, that no detector minds."""
    return [sample(metric, start + i * STEP_MS, level + (i * 7 % 5), **labels) for i in range(count)]


def shifted(metric: str, start: int, count: int, by: float, **labels: str) -> Samples:
    """Samples as `steady` makes them, `by` higher."""
    return steady(metric, start, count, level=100.0 + by, **labels)


async def metrics(setting: Setting, samples: Iterable[dict[str, object]]) -> None:
    """Produce one record per sample, by series."""
    await produce(
        setting.kafka,
        setting.topic("metrics"),
        [(f"{each['metric']}{each['labels']}", payload(each)) for each in samples],
    )


async def event(setting: Setting, key: str, message: msgspec.Struct) -> None:
    """Tell an event."""
    await produce(setting.kafka, setting.topic("events"), [(key, encode(message))])


async def told(setting: Setting, kind: type[M]) -> list[M]:
    """All messages of a kind on `alerts`, in their order by partition."""
    found = [
        decode(record.value or b"", Alert | Incident)  # type: ignore[arg-type]
        for record in await records(setting.kafka, setting.topic("alerts"))
    ]
    return [message for message in found if isinstance(message, kind)]


async def newest(setting: Setting, kind: type[M]) -> dict[str, M]:
    """The newest message of a kind under each key."""
    return {message.fingerprint: message for message in await told(setting, kind)}


async def wait_for(
    setting: Setting, kind: type[M], holds: Callable[[M], object], what: str, count: int = 1
) -> list[M]:
    """Wait until so many of the newest messages of a kind hold; return these."""

    async def ask() -> list[M]:
        return [message for message in (await newest(setting, kind)).values() if holds(message)]

    return await until(ask, lambda found: len(found) >= count, what=what)
