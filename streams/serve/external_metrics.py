"""The external metrics API of Kubernetes (external.metrics.k8s.io/v1beta1), for plain HPAs."""

import contextlib
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from streams.config import Config
from streams.serve.board import Board
from streams.serve.figures import METRICS, AskError, StaleError, UnknownError, answer, make_ask

GROUP, VERSION = "external.metrics.k8s.io", "v1beta1"
ROOT = f"/apis/{GROUP}/{VERSION}"
PREFIX = "tidegate_"
_TERM = re.compile(r"\s*([A-Za-z0-9_./-]+)\s*(?:={1,2}\s*([^,()]*?)|\s+in\s*\(\s*([^,()]*?)\s*\))\s*(?:,|$)")


class Api:
    """The pages. `clock` gives Unix ms.

    Metrics are `tidegate_replicas` and `tidegate_load`; the selector's labels are `target`, `quantile` and
    `horizon` (seconds). The namespace is that of the HPA and means nothing here.
    """

    def __init__(self, config: Config, board: Board, clock: Callable[[], int]) -> None:
        self._config = config
        self._targets = {target.name: target for target in config.targets}
        self._board = board
        self._clock = clock

    def application(self) -> web.Application:
        """The application to serve."""
        app = web.Application(middlewares=[self._known_client])
        app.router.add_get("/apis", self._groups)
        app.router.add_get(f"/apis/{GROUP}", self._group)
        app.router.add_get(ROOT, self._resources)
        app.router.add_get(f"{ROOT}/namespaces/{{namespace}}/{{metric}}", self._value)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._exposed)
        return app

    @web.middleware
    async def _known_client(self, request: web.Request, handler: Any) -> web.StreamResponse:
        names = self._config.serve.client_names
        if names and request.path != "/healthz" and _common_name(request) not in names:
            return _status(403, "Forbidden", "the client's certificate is not of those that may ask here")
        response: web.StreamResponse = await handler(request)
        return response

    async def _groups(self, _: web.Request) -> web.Response:
        return web.json_response({"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group()]})

    async def _group(self, _: web.Request) -> web.Response:
        return web.json_response({"kind": "APIGroup", "apiVersion": "v1", **_group()})

    async def _resources(self, _: web.Request) -> web.Response:
        resources = [
            {
                "name": f"{PREFIX}{metric}",
                "singularName": "",
                "namespaced": True,
                "kind": "ExternalMetricValueList",
                "verbs": ["get"],
            }
            for metric in METRICS
        ]
        body = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}"}
        return web.json_response(body | {"resources": resources})

    async def _value(self, request: web.Request) -> web.Response:
        name = request.match_info["metric"]
        try:
            selector = labels_of(request.query.get("labelSelector", ""))
            metric = name.removeprefix(PREFIX) if name.startswith(PREFIX) else ""
            value = self._of(selector.get("target"), metric, selector)
        except UnknownError as error:
            return _status(404, "NotFound", str(error))
        except AskError as error:
            return _status(400, "BadRequest", str(error))
        except StaleError as error:
            return _status(503, "ServiceUnavailable", str(error))
        item = {
            "metricName": name,
            "metricLabels": {"target": selector["target"]},
            "timestamp": datetime.fromtimestamp(self._clock() // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "value": quantity(value),
        }
        body = {"kind": "ExternalMetricValueList", "apiVersion": f"{GROUP}/{VERSION}", "metadata": {}}
        return web.json_response(body | {"items": [item]})

    async def _exposed(self, _: web.Request) -> web.Response:
        """For scrapers, and autoscalers that read Prometheus; what is not known is absent, not zero."""
        lines = []
        for metric, words in zip(METRICS, ("Replicas that are commanded", "Load to expect"), strict=True):
            lines += [f"# HELP {PREFIX}{metric} {words}.", f"# TYPE {PREFIX}{metric} gauge"]
            for name in sorted(self._targets):
                with contextlib.suppress(AskError, StaleError):
                    value = self._of(name, metric, {})
                    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
                    lines.append(f'{PREFIX}{metric}{{target="{escaped}"}} {value:g}')
        return web.Response(text="\n".join(lines) + "\n")

    def _of(self, target: str | None, metric: str, selector: Mapping[str, str]) -> float:
        ask = make_ask(
            self._targets,
            target,
            metric=metric,
            quantile=selector.get("quantile"),
            horizon_s=selector.get("horizon"),
            default_quantile=self._config.serve.quantile,
        )
        return answer(ask, self._board.of(ask.target.name), self._clock(), self._config.serve.stale_s)

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")


def _group() -> dict[str, Any]:
    version = {"groupVersion": f"{GROUP}/{VERSION}", "version": VERSION}
    return {"name": GROUP, "versions": [version], "preferredVersion": version}


def _status(code: int, reason: str, message: str) -> web.Response:
    body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    return web.json_response(body | {"message": message, "reason": reason, "code": code}, status=code)


def _common_name(request: web.Request) -> str | None:
    transport = request.transport
    certificate: Mapping[str, Any] = (transport.get_extra_info("peercert") if transport else None) or {}
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return names[0] if names else None


def labels_of(selector: str) -> dict[str, str]:
    """The labels that a selector asks for: `a=b`, `a==b`, `a in (b)`, joined by commas.

    >>> labels_of("target=checkout,quantile in (0.9)")
    {'target': 'checkout', 'quantile': '0.9'}

    Raises:
        AskError: it is anything else.
    """
    labels: dict[str, str] = {}
    place = 0
    while place < len(selector):
        found = _TERM.match(selector, place)
        if found is None:
            raise AskError(f"the selector {selector!r} asks for more than labels that equal a value")
        labels[found[1]] = found[2] if found[2] is not None else found[3]
        place = found.end()
    return labels


def quantity(value: float) -> str:
    """A number as Kubernetes writes it, exact to a thousandth, rounded up so that no load is lost.

    >>> quantity(3.0), quantity(0.0005), quantity(12.34)
    ('3', '1m', '12340m')
    """
    thousandths = -int(-round(value * 1000, 6) // 1)
    return str(thousandths // 1000) if thousandths % 1000 == 0 else f"{thousandths}m"
