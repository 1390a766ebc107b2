"""The receiver's HTTP side: remote write and OTLP in, metrics and health out."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from streams.config.receive import ReceiveConfig
from streams.receive import otlp, remote_write
from streams.receive.access import Doors
from streams.receive.draft import Draft
from streams.receive.errors import Busy, PushError, TooLarge, TooMuch, Unreadable
from streams.receive.intake import MB, Intake
from streams.receive.tenant import Tenant

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_ANSWERS: dict[type[PushError], int] = {Unreadable: 400, TooLarge: 413, TooMuch: 429, Busy: 503}


class Pages:
    """The handlers. `registry` is what /metrics shows."""

    def __init__(
        self, config: ReceiveConfig, intake: Intake, doors: Doors, registry: CollectorRegistry
    ) -> None:
        self._config = config
        self._intake = intake
        self._doors = doors
        self._registry = registry
        self._most = int(config.max_body_mb * MB)

    def application(self) -> web.Application:
        """The application to serve."""
        app = web.Application(client_max_size=self._most)
        app.router.add_post("/api/v1/write", self._pushed(self._remote_write))
        app.router.add_post("/v1/metrics", self._pushed(self._otlp))
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        return app

    def _pushed(self, handle: Callable[[web.Request, Tenant], Awaitable[web.Response]]) -> Handler:
        async def answer(request: web.Request) -> web.StreamResponse:
            name = None
            if not self._doors.open:
                name = self._doors.tenant(request.headers.get("Authorization"))
                if name is None:
                    headers = {"WWW-Authenticate": "Bearer"}
                    return web.Response(
                        status=401, text="a bearer token of a tenant is needed\n", headers=headers
                    )
            tenant = self._intake.tenants[name]
            try:
                response = await handle(request, tenant)
            except web.HTTPRequestEntityTooLarge:
                response = _refused(TooLarge(f"the request is larger than {self._most} bytes"))
            except PushError as error:
                response = _refused(error)
            answers = tenant.counts.requests
            answers[str(response.status)] = answers.get(str(response.status), 0) + 1
            return response

        return answer

    async def _remote_write(self, request: web.Request, tenant: Tenant) -> web.Response:
        message = remote_write.message_of(request.headers.get("Content-Type", PROTOBUF))
        encoding = request.headers.get("Content-Encoding", "snappy")
        if encoding != "snappy":
            raise Unreadable(f"Content-Encoding {encoding[:64]!r}: expected snappy")
        with self._intake.room(request.content_length or 0):
            body = await request.read()
            data = remote_write.decompressed(body, self._most)
            with self._intake.room(len(data)):
                if tenant.usage is not None:
                    self._intake.admit(tenant, remote_write.count_samples(data))
                draft = self._intake.draft()
                remote_write.read(data, message, tenant, draft)
                await self._intake.write(tenant, draft)
        written = {
            "X-Prometheus-Remote-Write-Samples-Written": str(draft.samples - draft.refused),
            "X-Prometheus-Remote-Write-Histograms-Written": str(draft.histograms),
            "X-Prometheus-Remote-Write-Exemplars-Written": "0",
        }
        headers = written if message == remote_write.V2 else {}
        if draft.refused:  # what was good is written; a retry is no use for the others
            return web.Response(status=400, text=_told(draft), headers=headers)
        return web.Response(status=204, headers=headers)

    async def _otlp(self, request: web.Request, tenant: Tenant) -> web.Response:
        kind = request.content_type
        if kind not in {PROTOBUF, JSON}:
            raise Unreadable(f"Content-Type {kind[:128]!r}: expected {PROTOBUF} or {JSON}")
        json = kind == JSON
        with self._intake.room(request.content_length or 0):
            data = await request.read()  # aiohttp has inflated it, up to the same limit
            with self._intake.room(len(data)):
                pushed = otlp.parse(data, json=json)
                self._intake.admit(tenant, otlp.count_samples(pushed))
                draft = self._intake.draft()
                otlp.read(pushed, self._config.resource_attributes, tenant, draft)
                await self._intake.write(tenant, draft)
        answer = otlp_answer(draft)
        if json:
            return web.Response(text=MessageToJson(answer), content_type=JSON)
        return web.Response(body=answer.SerializeToString(), content_type=PROTOBUF)

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self._registry), headers={"Content-Type": content_type})

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")


def otlp_answer(draft: Draft) -> ExportMetricsServiceResponse:
    """What an exporter is told: how many data points were refused, and why."""
    answer = ExportMetricsServiceResponse()
    if draft.refused:
        answer.partial_success.rejected_data_points = draft.refused
        answer.partial_success.error_message = _told(draft)
    return answer


def _told(draft: Draft) -> str:
    return f"{draft.refused} samples refused: " + "; ".join(draft.faults) + "\n"


def _refused(error: PushError) -> web.Response:
    headers = {}
    if isinstance(error, TooMuch):
        headers["Retry-After"] = str(max(1, round(error.after_s)))
    if isinstance(error, Busy):
        headers["Retry-After"] = "1"
    return web.Response(status=_ANSWERS[type(error)], text=f"{error}\n", headers=headers)
