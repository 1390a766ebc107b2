"""`tidegate experiment`: who gets which variant, and where an experiment stands."""

from pathlib import Path
from typing import Annotated

import typer

experiment = typer.Typer(help="A/B experiments: assignment and report.", no_args_is_help=True)

Described = Annotated[Path, typer.Argument(help="TOML: name, [variants] in percent, [[metrics]]")]


@experiment.command("assign")
def assign(
    described: Described,
    units: Annotated[list[str], typer.Argument(help="ids of users or sessions")],
) -> None:
    """Print each unit's variant, `-` where it takes no part: the same at any time and in any language."""
    from streams.experiment_file import read_experiment  # noqa: PLC0415

    config = read_experiment(described)
    for unit in units:
        print(f"{unit}\t{config.assign(unit) or '-'}")


@experiment.command("report")
def report(
    described: Described,
    observations: Annotated[Path, typer.Argument(help="JSON lines of observations, times ascending")],
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report here")] = None,
    floor: Annotated[float, typer.Option(min=0, max=0.5, help="least share in the Thompson split")] = 0.05,
) -> None:
    """Effects with confidence sequences, sample-ratio mismatch, probability to be best, stop rule."""
    import msgspec  # noqa: PLC0415

    from streams.experiment_file import in_words, read_experiment, run  # noqa: PLC0415

    state, found = run(read_experiment(described), observations)
    print(in_words(found, state.thompson(floor)))
    if json_file is not None:
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=2) + b"\n")
