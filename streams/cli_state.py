"""`tidegate state`: taking the durable state out of Kafka, putting it back, undoing what was learnt."""

import asyncio
import os
from pathlib import Path
from typing import Annotated

import typer

from streams.cli_shared import ConfigOption, hush

state = typer.Typer(
    help="Take the durable state out of Kafka, put it back, undo what a model learnt.",
    no_args_is_help=True,
    callback=hush,
)


@state.command("export")
def export_(config: ConfigOption, out: Annotated[Path, typer.Option(help="file for the export")]) -> None:
    """Write all models, alerts, targets and input offsets of the group to a file; workers may run."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.config import read  # noqa: PLC0415
    from streams.exports import take  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    settings = read(config)
    export = asyncio.run(take(settings, client_settings(settings.kafka, os.environ), wall_clock()))
    export.write(out)
    blocks = sum(len(b) for partitions in export.stages.values() for b in partitions.values())
    print(f"{blocks} blocks of group {export.group}: {out}")


@state.command("import")
def import_(config: ConfigOption, file: Annotated[Path, typer.Argument(help="an export")]) -> None:
    """Make the group's state and input offsets those of an export. Stop the workers first."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.config import read  # noqa: PLC0415
    from streams.exports import Export, put  # noqa: PLC0415

    settings = read(config)
    connection = client_settings(settings.kafka, os.environ)
    print(f"{asyncio.run(put(Export.read(file), settings, connection))} blocks written")


@state.command()
def revert(
    config: ConfigOption,
    file: Annotated[Path, typer.Argument(help="an export from before the models were spoilt")],
    series: Annotated[str, typer.Option(help="glob on the series' key")] = "*",
) -> None:
    """Give the models of matching series the state they had in an export. Stop the workers first."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.app import detector  # noqa: PLC0415
    from streams.config import read  # noqa: PLC0415
    from streams.exports import Export  # noqa: PLC0415
    from streams.exports import revert as run  # noqa: PLC0415

    settings = read(config)
    key = os.environ.get(settings.state.key_env)
    make = detector(settings, key.encode() if key else None)
    connection = client_settings(settings.kafka, os.environ)
    count = asyncio.run(run(Export.read(file), settings, connection, series=series, make=make))
    print(f"{count} series reverted")
