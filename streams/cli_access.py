"""`tidegate acls`: the rights that each part needs on Kafka."""

import typer

from streams.cli_shared import ConfigOption

access = typer.Typer()


@access.command()
def acls(
    config: ConfigOption,
    principal: str = typer.Option("User:tidegate", help="whom to give the rights"),
    part: str = typer.Option("worker", help="worker, receiver, optimiser or server (KEDA, external metrics)"),
    roles: str = typer.Option("detect,alert,plan,act", help="roles of the worker"),
) -> None:
    """Print the least rights on Kafka, as arguments of kafka-acls."""
    from streams.config import ConfigError, read  # noqa: PLC0415
    from streams.privileges import of_optimiser, of_receiver, of_server, of_worker  # noqa: PLC0415

    settings = read(config)
    kafka = settings.kafka
    match part:
        case "worker":
            found = of_worker(kafka, [role.strip() for role in roles.split(",")])
        case "receiver":
            found = of_receiver(kafka, settings.receive.otlp_topics)
        case "server":
            found = of_server(kafka)
        case "optimiser":
            found = of_optimiser(kafka)
        case _:
            raise ConfigError(f"--part {part}: expected worker, receiver, server or optimiser")
    for each in found:
        print(each.grant(principal))
