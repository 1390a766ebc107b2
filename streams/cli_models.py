"""`tidegate models`: which versions forecast, and MLflow's view of them."""

import os
from typing import Annotated

import typer

from streams.cli_shared import OptionalConfig, configured, run_async

models = typer.Typer(help="Versions of the models that forecast.", no_args_is_help=True)


@models.command("list")
def list_versions(config: OptionalConfig = None) -> None:
    """The standing and the figures of each version."""
    from schemas import ModelVersion, decode  # noqa: PLC0415
    from streams.access import client_settings  # noqa: PLC0415
    from streams.tail import tail, words  # noqa: PLC0415

    kafka = configured(config).kafka

    async def newest() -> dict[str, ModelVersion]:
        found = {}
        connection = client_settings(kafka, os.environ)
        async for record in tail(f"{kafka.prefix}models", connection=connection, last=None, follow=False):
            version = decode(record.value or b"", ModelVersion)
            found[version.id] = version
        return found

    for version in sorted(run_async(newest()).values(), key=lambda each: (each.target, each.standing)):
        print(words(version))


@models.command("mirror")
def mirror(
    tracking_uri: Annotated[str, typer.Option(envvar="MLFLOW_TRACKING_URI", help="MLflow's tracking server")],
    config: OptionalConfig = None,
    follow: Annotated[bool, typer.Option(help="go on with new versions")] = True,
) -> None:
    """Write the versions to MLflow: one run each, with parameters, figures and standing."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.mlflow_mirror import mirror as write  # noqa: PLC0415
    from streams.tail import tail, words  # noqa: PLC0415

    kafka = configured(config).kafka

    async def run() -> None:
        connection = client_settings(kafka, os.environ)
        records = tail(f"{kafka.prefix}models", connection=connection, last=None, follow=follow)
        async for version in write(records, tracking_uri):
            print(words(version), flush=True)

    run_async(run())
