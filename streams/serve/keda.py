"""A KEDA external scaler: predictive scaling by one trigger in a ScaledObject."""

import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import grpc

from streams.config import Config
from streams.serve.board import Board
from streams.serve.figures import Ask, AskError, StaleError, UnknownError, answer, capacity, make_ask
from streams.wire import externalscaler_pb2 as pb

log = logging.getLogger(__name__)

SERVICE = "externalscaler.ExternalScaler"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class Scaler:
    """Answers the four calls. `clock` gives Unix ms.

    The trigger's metadata: `target` (default: the ScaledObject's name), `metric` (`replicas`, the default,
    or `load`), `quantile`, `horizonSeconds`, `targetValue` (load of a replica; default: the target's
    capacity), `activationValue` (active above it; default 0).
    """

    def __init__(self, config: Config, board: Board, clock: Callable[[], int]) -> None:
        self._config = config
        self._targets = {target.name: target for target in config.targets}
        self._board = board
        self._clock = clock

    def handlers(self) -> Any:
        """The calls, to be added to a server."""
        unary = grpc.unary_unary_rpc_method_handler
        calls = {
            "IsActive": unary(
                self.is_active,
                request_deserializer=pb.ScaledObjectRef.FromString,
                response_serializer=pb.IsActiveResponse.SerializeToString,
            ),
            "StreamIsActive": grpc.unary_stream_rpc_method_handler(
                self.stream_is_active,
                request_deserializer=pb.ScaledObjectRef.FromString,
                response_serializer=pb.IsActiveResponse.SerializeToString,
            ),
            "GetMetricSpec": unary(
                self.get_metric_spec,
                request_deserializer=pb.ScaledObjectRef.FromString,
                response_serializer=pb.GetMetricSpecResponse.SerializeToString,
            ),
            "GetMetrics": unary(
                self.get_metrics,
                request_deserializer=pb.GetMetricsRequest.FromString,
                response_serializer=pb.GetMetricsResponse.SerializeToString,
            ),
        }
        return grpc.method_handlers_generic_handler(SERVICE, calls)

    async def is_active(self, ref: pb.ScaledObjectRef, context: Context) -> pb.IsActiveResponse:
        """Whether anything is to run."""
        return pb.IsActiveResponse(result=await self._answered(self._active, ref, context))

    async def stream_is_active(
        self, ref: pb.ScaledObjectRef, context: Context
    ) -> AsyncIterator[pb.IsActiveResponse]:
        """Tells it at once, and again whenever it changes. While it is not known, nothing is told."""
        await self._answered(self._ask, ref, context)
        told: bool | None = None
        version = -1
        while True:
            version = await self._board.newer(version)
            with contextlib.suppress(StaleError):  # what is not known is not told
                active = self._active(ref)
                if active != told:
                    told = active
                    yield pb.IsActiveResponse(result=active)

    async def get_metric_spec(self, ref: pb.ScaledObjectRef, context: Context) -> pb.GetMetricSpecResponse:
        """The metric's name, and how much of it each replica takes: 1 where it is replicas itself."""
        ask, size = await self._answered(self._spec, ref, context)
        spec = pb.MetricSpec(metricName=_name(ask), targetSize=max(1, round(size)), targetSizeFloat=size)
        return pb.GetMetricSpecResponse(metricSpecs=[spec])

    async def get_metrics(self, request: pb.GetMetricsRequest, context: Context) -> pb.GetMetricsResponse:
        """The metric's value."""
        value = await self._answered(self._value, request.scaledObjectRef, context)
        name = request.metricName
        found = pb.MetricValue(metricName=name, metricValue=round(value), metricValueFloat=value)
        return pb.GetMetricsResponse(metricValues=[found])

    # -- answering -------------------------------------------------------------------------------

    async def _answered(
        self, find: Callable[[pb.ScaledObjectRef], Any], ref: pb.ScaledObjectRef, context: Context
    ) -> Any:
        try:
            return find(ref)
        except UnknownError as error:
            code, words = grpc.StatusCode.NOT_FOUND, str(error)
        except AskError as error:
            code, words = grpc.StatusCode.INVALID_ARGUMENT, str(error)
        except StaleError as error:
            code, words = grpc.StatusCode.UNAVAILABLE, str(error)
        log.warning("ScaledObject %s/%s: %s", ref.namespace, ref.name, words)
        return await context.abort(code, words)

    def _ask(self, ref: pb.ScaledObjectRef) -> Ask:
        given = ref.scalerMetadata
        return make_ask(
            self._targets,
            given.get("target") or ref.name,
            metric=given.get("metric") or "replicas",
            quantile=given.get("quantile"),
            horizon_s=given.get("horizonSeconds"),
            default_quantile=self._config.serve.quantile,
        )

    def _spec(self, ref: pb.ScaledObjectRef) -> tuple[Ask, float]:
        ask = self._ask(ref)
        if ask.metric == "replicas":
            return ask, 1.0
        size = _positive("targetValue", ref.scalerMetadata.get("targetValue"))
        return ask, size if size is not None else capacity(ask.target)

    def _value(self, ref: pb.ScaledObjectRef) -> float:
        ask = self._ask(ref)
        known = self._board.of(ask.target.name)
        return answer(ask, known, self._clock(), self._config.serve.stale_s)

    def _active(self, ref: pb.ScaledObjectRef) -> bool:
        above = _positive("activationValue", ref.scalerMetadata.get("activationValue"), least=0.0)
        return self._value(ref) > (above or 0.0)


def _name(ask: Ask) -> str:
    return f"tidegate-{ask.metric}-{ask.target.name}"


def _positive(name: str, text: str | None, least: float | None = None) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise AskError(f"{name} {text!r} is not a number") from error
    if value < (least if least is not None else 1e-9) or value == float("inf"):
        raise AskError(f"{name} {value:g} is too small or infinite")
    return value
