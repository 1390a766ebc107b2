"""The commands that serve others: `tidegate receive` and `tidegate serve-...`."""

import os
from typing import Annotated

import typer

from streams.cli_shared import ConfigOption, log_to_terminal, run_async, until_stopped

serve = typer.Typer()

Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="log the Kafka client too")]


@serve.command()
def receive(config: ConfigOption, verbose: Verbose = False) -> None:
    """Take in metrics: Prometheus remote write, OTLP over HTTP and gRPC, OTLP records on Kafka topics."""
    from streams.config import read  # noqa: PLC0415
    from streams.extras import needed  # noqa: PLC0415

    settings = read(config)
    with needed("receive"):
        from streams.receive.receiver import Receiver  # noqa: PLC0415
    log_to_terminal(verbose)
    run_async(until_stopped(Receiver(settings, environ=os.environ)))


@serve.command("serve-keda")
def serve_keda(config: ConfigOption, verbose: Verbose = False) -> None:
    """Answer KEDA as an external scaler (gRPC), from forecasts and commands."""
    from streams.config import read  # noqa: PLC0415
    from streams.extras import needed  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    settings = read(config)
    with needed("keda"):
        from streams.serve.keda_service import KedaService  # noqa: PLC0415
    log_to_terminal(verbose)
    run_async(until_stopped(KedaService(settings, environ=os.environ, clock=wall_clock)))


@serve.command("serve-external-metrics")
def serve_external_metrics(config: ConfigOption, verbose: Verbose = False) -> None:
    """Answer plain HPAs: external.metrics.k8s.io over TLS, from forecasts and commands."""
    from streams.config import read  # noqa: PLC0415
    from streams.serve.external_service import ExternalMetricsService  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    settings = read(config)
    log_to_terminal(verbose)
    run_async(until_stopped(ExternalMetricsService(settings, environ=os.environ, clock=wall_clock)))


@serve.command("flagger-gates")
def flagger_gates(
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535, help="port to listen on")] = 8_090,
    context: Annotated[str | None, typer.Option(help="of the kubeconfig; default: the current one")] = None,
) -> None:
    """Answer Flagger's webhooks from what the actuator `flagger` wrote on its Canaries."""
    from aiohttp import web  # noqa: PLC0415

    from actuators.flagger_gates import Gates  # noqa: PLC0415
    from actuators.kubernetes_custom import DeliveryConfig  # noqa: PLC0415

    gates = Gates(DeliveryConfig(context=context), env=os.environ)
    web.run_app(gates.app, host=host, port=port, print=None)
