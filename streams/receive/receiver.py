"""The receiver from start to stop: its ports, its topics, its connection to Kafka."""

import asyncio
import logging
from collections.abc import Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector

from streams.access import client_settings
from streams.config import Config, ConfigError
from streams.ports import PortError, server_context
from streams.privileges import of_receiver, require
from streams.receive.access import Doors, check_exposure
from streams.receive.errors import ReceiveError
from streams.receive.grpc_otlp import GrpcPort
from streams.receive.http import Pages
from streams.receive.intake import Intake
from streams.receive.split import split
from streams.receive.telemetry import Figures
from streams.receive.tenant import Tenant
from streams.receive.topics import TopicReader
from streams.waiting import for_brokers

log = logging.getLogger(__name__)

TOPICS_TENANT = "topics"
WATCH_S = 1.0


class Receiver:
    """Takes in what `config` says until stopped."""

    def __init__(self, config: Config, *, environ: Mapping[str, str]) -> None:
        """Read secrets and certificates; connect to nobody yet.

        Raises:
            ConfigError: the configuration cannot be used.
            OSError: a certificate or key file cannot be read.
        """
        check_exposure(config.receive)
        if bad := [q for q in config.receive.quantiles if not 0 < q < 1]:
            raise ConfigError(f"receive.quantiles: {bad[0]:g} is not between 0 and 1")
        self._config = config
        self._connection = client_settings(config.kafka, environ)
        self._intake = Intake(config, self._connection)
        self._doors = Doors(config.receive.tenants, environ)
        self._tls = server_context(config.receive.tls)
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(Figures(self._intake))
        self._runner: web.AppRunner | None = None
        self._grpc: GrpcPort | None = None
        self._topics: TopicReader | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.url = ""

    @property
    def grpc_port(self) -> int:
        """The port of OTLP over gRPC; 0 where it is not served."""
        return self._grpc.port if self._grpc else 0

    async def start(self) -> None:
        """Wait for the brokers, connect, listen.

        Raises:
            KafkaError: the brokers refuse.
            AccessError: the Kafka user lacks a right.
            ReceiveError: there is no topic.
            PortError: a port is taken.
        """
        receive = self._config.receive
        split(b"")  # compile, before a producer waits for it
        await for_brokers(self._config.kafka, self._connection)
        await require(
            self._config.kafka, self._connection, of_receiver(self._config.kafka, receive.otlp_topics)
        )
        await self._intake.start()
        pages = Pages(receive, self._intake, self._doors, self._registry)
        self._runner = web.AppRunner(pages.application(), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, receive.host, receive.port, ssl_context=self._tls)
        try:
            await site.start()
        except OSError as error:
            raise PortError(
                f"cannot listen on {receive.host}:{receive.port} ({error.strerror}); set receive.port"
            ) from error
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if self._tls else 'http'}://{receive.host}:{port}"
        if receive.grpc_port is not None:
            self._grpc = GrpcPort(receive, self._intake, self._doors)
            await self._grpc.start()
        if receive.otlp_topics:
            self._topics = TopicReader(self._config, self._connection, self._intake, self._topics_tenant())
            await self._topics.start()
        self._sweeper = asyncio.create_task(self._sweep())
        grpc = f", OTLP over gRPC on port {self._grpc.port}" if self._grpc else ""
        topics = f", OTLP records of {', '.join(receive.otlp_topics)}" if receive.otlp_topics else ""
        log.info("the receiver takes remote write and OTLP at %s%s%s", self.url, grpc, topics)

    def _topics_tenant(self) -> Tenant:
        made = self._intake.tenant(None, TOPICS_TENANT)
        self._intake.tenants[TOPICS_TENANT] = made
        return made

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._config.receive.forget_after_s)
            for tenant in self._intake.tenants.values():
                tenant.forget()

    async def wait(self) -> None:
        """Return never.

        Raises:
            ReceiveError: the topics cannot be read any more.
        """
        while True:
            await asyncio.sleep(WATCH_S)
            if self._topics is not None and (reason := self._topics.ended) is not None:
                raise ReceiveError(f"reading OTLP records ended: {reason}") from reason

    async def stop(self) -> None:
        """Finish what is under way, close everything."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._topics is not None:
            await self._topics.stop()
        if self._grpc is not None:
            await self._grpc.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._intake.stop()
