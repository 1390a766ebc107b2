"""The external metrics API from start to stop."""

import logging
from collections.abc import Callable, Mapping

from aiohttp import web

from streams.config import Config, ConfigError
from streams.ports import PortError, server_context
from streams.serve.board import open_board, watch
from streams.serve.external_metrics import Api

log = logging.getLogger(__name__)


class ExternalMetricsService:
    """`tidegate serve-external-metrics`. `clock` gives Unix ms."""

    def __init__(self, config: Config, *, environ: Mapping[str, str], clock: Callable[[], int]) -> None:
        """Read the certificates.

        Raises:
            ConfigError: there is no `[serve.tls]`.
        """
        if config.serve.tls is None:
            raise ConfigError("serve.tls is absent: Kubernetes asks for external metrics over TLS only")
        if config.serve.client_names and config.serve.tls.client_ca_file is None:
            raise ConfigError("serve.client_names are those of certificates: name serve.tls.client_ca_file")
        self._config = config
        self._tls = server_context(config.serve.tls)
        self._board = open_board(config, environ, clock)
        self._api = Api(config, self._board, clock)
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Read the topics, then listen.

        Raises:
            KafkaError: the brokers cannot be reached.
            PortError: the port is taken.
        """
        await self._board.start()
        serve = self._config.serve
        self._runner = web.AppRunner(self._api.application(), access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, serve.host, serve.metrics_port, ssl_context=self._tls)
        try:
            await site.start()
        except OSError as error:
            where = f"{serve.host}:{serve.metrics_port}"
            raise PortError(f"cannot listen on {where} ({error.strerror}); set serve.metrics_port") from error
        self.port = self._runner.addresses[0][1]
        log.info("the external metrics API answers at https://%s:%d", serve.host, self.port)

    async def wait(self) -> None:
        """Return never.

        Raises:
            PortError: the topics cannot be read any more.
        """
        await watch(self._board)

    async def stop(self) -> None:
        """Close everything."""
        if self._runner is not None:
            await self._runner.cleanup()
        await self._board.stop()
