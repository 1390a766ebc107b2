"""OTLP metrics over gRPC."""

from collections.abc import Mapping

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from streams.config.receive import ReceiveConfig
from streams.ports import bind
from streams.receive import otlp
from streams.receive.access import Doors
from streams.receive.errors import Busy, PushError, TooLarge, TooMuch, Unreadable
from streams.receive.http import otlp_answer
from streams.receive.intake import MB, Intake

SERVICE = "opentelemetry.proto.collector.metrics.v1.MetricsService"
_CODES: Mapping[type[PushError], grpc.StatusCode] = {
    Unreadable: grpc.StatusCode.INVALID_ARGUMENT,
    TooLarge: grpc.StatusCode.INVALID_ARGUMENT,
    TooMuch: grpc.StatusCode.UNAVAILABLE,  # the codes that OTLP lets exporters retry
    Busy: grpc.StatusCode.UNAVAILABLE,
}


class GrpcPort:
    """Serves `Export` until stopped."""

    def __init__(self, config: ReceiveConfig, intake: Intake, doors: Doors) -> None:
        self._config = config
        self._intake = intake
        self._doors = doors
        self._most = int(config.max_body_mb * MB)
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", self._most)])
        export = grpc.unary_unary_rpc_method_handler(
            self._export,
            request_deserializer=ExportMetricsServiceRequest.FromString,
            response_serializer=ExportMetricsServiceResponse.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {"Export": export}),)
        )
        self.port = 0

    async def start(self) -> None:
        """Listen.

        Raises:
            PortError: the port is taken.
        """
        assert self._config.grpc_port is not None  # noqa: S101 - served only then
        self.port = bind(self._server, self._config.host, self._config.grpc_port, self._config.tls)
        await self._server.start()

    async def stop(self) -> None:
        """Finish what is under way."""
        await self._server.stop(5.0)

    async def _export(
        self,
        request: ExportMetricsServiceRequest,
        context: "grpc.aio.ServicerContext[ExportMetricsServiceRequest, ExportMetricsServiceResponse]",
    ) -> ExportMetricsServiceResponse:
        name = None
        if not self._doors.open:
            shown = dict(context.invocation_metadata() or ()).get("authorization")
            name = self._doors.tenant(shown if isinstance(shown, str) else None)
            if name is None:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a bearer token of a tenant is needed")
        tenant = self._intake.tenants[name]
        try:
            with self._intake.room(request.ByteSize()):
                self._intake.admit(tenant, otlp.count_samples(request))
                draft = self._intake.draft()
                otlp.read(request, self._config.resource_attributes, tenant, draft)
                await self._intake.write(tenant, draft)
        except PushError as error:
            await context.abort(_CODES[type(error)], str(error))
        return otlp_answer(draft)
