"""The KEDA external scaler from start to stop."""

import logging
from collections.abc import Callable, Mapping

import grpc

from streams.config import Config
from streams.ports import bind
from streams.serve.board import open_board, watch
from streams.serve.keda import Scaler

log = logging.getLogger(__name__)


class KedaService:
    """`tidegate serve-keda`. `clock` gives Unix ms."""

    def __init__(self, config: Config, *, environ: Mapping[str, str], clock: Callable[[], int]) -> None:
        self._config = config
        self._board = open_board(config, environ, clock)
        self._scaler = Scaler(config, self._board, clock)
        self._server: grpc.aio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Read the topics, then listen.

        Raises:
            KafkaError: the brokers cannot be reached.
            PortError: the port is taken.
        """
        await self._board.start()
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self._scaler.handlers(),))
        serve = self._config.serve
        self.port = bind(self._server, serve.host, serve.keda_port, serve.tls)
        await self._server.start()
        log.info("the KEDA external scaler answers at %s:%d", serve.host, self.port)

    async def wait(self) -> None:
        """Return never.

        Raises:
            PortError: the topics cannot be read any more.
        """
        await watch(self._board)

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            await self._server.stop(1.0)
        await self._board.stop()
