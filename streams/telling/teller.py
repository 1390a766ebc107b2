"""Keeps receivers told of what stands: each has a task of its own, so one that hangs holds up itself only.

Nothing is sent on an event. Again and again each receiver is told the difference between what stands and what
it was told; the latter is part of the state of the groups. A crash in between tells again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import httpx

from streams.alerting import AlertPartition
from streams.config import AlertConfig
from streams.stage import Stage
from streams.telling.alertmanager import Alertmanager
from streams.telling.webhook import Webhook

log = logging.getLogger(__name__)

PASS_S = 0.5
LONGEST_PAUSE_S = 60.0

Told = Callable[[str, str], None]  # receiver, what came of it


class Receiver(Protocol):
    """Somebody who is told."""

    name: str

    def due(self, partition: AlertPartition, now_ms: int) -> list[Any]:
        """What is to be told now."""

    async def tell(self, partition: AlertPartition, due: Sequence[Any], now_ms: int) -> None:
        """Tell it and note that; raises httpx.HTTPError where that failed."""


class Teller:
    """Tells the configured receivers of the alerts that `stage` holds. `clock` returns Unix ms."""

    def __init__(
        self,
        config: AlertConfig,
        stage: Stage,
        *,
        environ: Mapping[str, str],
        clock: Callable[[], int],
        told: Told,
    ) -> None:
        self._stage = stage
        self._clock = clock
        self._told = told
        self._http = httpx.AsyncClient()
        self._receivers = list(receivers(config, environ, self._http))
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to tell."""
        self._tasks = [asyncio.create_task(self._run(each)) for each in self._receivers]

    async def stop(self) -> None:
        """Stop; a request that is under way is given up, and repeated by whoever has the group next."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def _run(self, receiver: Receiver) -> None:
        pause = PASS_S
        while True:
            try:
                await self._pass(receiver)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                pause = min(2.0 * pause, LONGEST_PAUSE_S)
                self._told(receiver.name, "failed")
                log.warning("receiver %s was not told, again in %.0f s: %r", receiver.name, pause, error)
            except Exception:
                pause = LONGEST_PAUSE_S
                log.exception("receiver %s cannot be told, again in %.0f s", receiver.name, pause)
            else:
                pause = PASS_S
            await asyncio.sleep(pause)

    async def _pass(self, receiver: Receiver) -> None:
        for partition in self._stage.partitions.values():
            assert isinstance(partition, AlertPartition)  # noqa: S101
            now = self._clock()
            due = receiver.due(partition, now)
            if due:
                await receiver.tell(partition, due, now)
                self._stage.touch(partition)
                self._told(receiver.name, "sent")
            if isinstance(receiver, Webhook) and receiver.refused:
                log.error("receiver %s refuses: %s", receiver.name, "; ".join(receiver.refused))
                for _ in receiver.refused:
                    self._told(receiver.name, "refused")
                receiver.refused.clear()


def receivers(
    config: AlertConfig, environ: Mapping[str, str], http: httpx.AsyncClient
) -> list[Alertmanager | Webhook]:
    """The configured receivers."""
    kinds: dict[str, type[Alertmanager] | type[Webhook]] = {"alertmanager": Alertmanager, "webhook": Webhook}
    return [
        kinds[each.kind](name, each, environ.get(each.url_env or "", each.url), http)
        for name, each in config.receivers.items()
    ]
