"""`tidegate release`: tell of a release, say what is to become of it, read what was done."""

import getpass
import os
from typing import Annotated, Literal

import typer

from streams.cli_shared import ConfigOption, run_async

release = typer.Typer(help="Releases of a target: tell, decide, read the audit.", no_args_is_help=True)

Target = Annotated[str, typer.Argument(help="the target's name")]
Which = Annotated[str | None, typer.Option("--release", help="only if this release is in question")]
Why = Annotated[str, typer.Option("--reason", help="why, for those who ask later")]


@release.command("deployed")
def deployed(
    target: Target,
    name: Annotated[str, typer.Argument(metavar="RELEASE", help="the release that was deployed")],
    config: ConfigOption,
    previous: Annotated[str | None, typer.Option(help="what it replaced, or runs beside")] = None,
    canary: Annotated[
        float | None, typer.Option(min=0, max=100, help="its percentage of the traffic beside the previous")
    ] = None,
) -> None:
    """Tell that a release has reached its target: from now on it is judged."""
    from schemas import Deployment  # noqa: PLC0415
    from streams.config import read  # noqa: PLC0415
    from streams.release_log import tell  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    event = Deployment(target=target, release=name, ts=wall_clock(), previous=previous, canary_percent=canary)
    run_async(tell(read(config), event, os.environ))
    print(f"told: {name} reached {target}")


@release.command("pause")
def pause(target: Target, config: ConfigOption, which: Which = None, reason: Why = "") -> None:
    """Hold the canary where it is; harm still takes it back."""
    _order("pause", target, config, which, reason)


@release.command("resume")
def resume(target: Target, config: ConfigOption, which: Which = None, reason: Why = "") -> None:
    """Go on with the canary; its step begins anew."""
    _order("resume", target, config, which, reason)


@release.command("promote")
def promote(target: Target, config: ConfigOption, which: Which = None, reason: Why = "") -> None:
    """Take the release as good, whatever the judge still waits for."""
    _order("promote", target, config, which, reason)


@release.command("abort")
def abort(target: Target, config: ConfigOption, which: Which = None, reason: Why = "") -> None:
    """Roll the release back."""
    _order("abort", target, config, which, reason)


def _order(
    order: Literal["pause", "resume", "promote", "abort"],
    target: str,
    config: ConfigOption,
    which: str | None,
    reason: str,
) -> None:
    from schemas import ReleaseOrder  # noqa: PLC0415
    from streams.config import read  # noqa: PLC0415
    from streams.release_log import tell  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    by = getpass.getuser()
    event = ReleaseOrder(target=target, order=order, ts=wall_clock(), by=by, reason=reason, release=which)
    run_async(tell(read(config), event, os.environ))
    print(f"ordered: {order} {which or 'the release in question'} on {target}")


@release.command("history")
def history(target: Target, config: ConfigOption) -> None:
    """What ran when, who rolled back what and why, and which release was last known to be good."""
    from streams.config import read  # noqa: PLC0415
    from streams.release_log import changes, standing  # noqa: PLC0415
    from streams.tail import words  # noqa: PLC0415

    told = run_async(changes(read(config), target, os.environ))
    for change in told:
        print(words(change))
    current, good = standing(told)
    print(f"now: {current or 'not known'}; last known good: {good or 'none'}")
