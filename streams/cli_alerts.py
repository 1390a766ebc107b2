"""`tidegate silence` and `tidegate feedback`: what people tell about alerts."""

import asyncio
import os
from datetime import datetime
from typing import Annotated

import typer

from streams.cli_shared import OptionalConfig, configured, fail

silence = typer.Typer(help="Hold alerts back for a while, by matchers on their labels.", no_args_is_help=True)

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@silence.command()
def add(
    matchers: Annotated[list[str], typer.Argument(help='all must fit: service="checkout" rack=~"r[12]"')],
    for_: Annotated[str, typer.Option("--for", help="how long, such as 90m, 2h, 1d")] = "2h",
    start: Annotated[datetime | None, typer.Option(help="when it begins; default: now")] = None,
    reason: Annotated[str, typer.Option(help="why, for those who ask later")] = "",
    config: OptionalConfig = None,
) -> None:
    """Hold back the alerts that match; prints the silence's id."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.notes import add_silence  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    kafka = configured(config).kafka
    begins = wall_clock() if start is None else int(start.timestamp() * 1000)
    made = asyncio.run(
        add_silence(
            kafka,
            client_settings(kafka, os.environ),
            matchers=matchers,
            starts_at=begins,
            ends_at=begins + _duration_ms(for_),
            by=_user(),
            reason=reason,
        )
    )
    print(f"{made.id} holds back {', '.join(made.matchers)} for {for_}")


@silence.command("list")
def list_(
    config: OptionalConfig = None,
    ended: Annotated[bool, typer.Option("--ended", help="those that are over too")] = False,
) -> None:
    """Print the silences and maintenance windows that are known."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.notes import held  # noqa: PLC0415
    from streams.tail import words  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    settings = configured(config)
    now = wall_clock()
    found = asyncio.run(held(settings, client_settings(settings.kafka, os.environ)))
    shown = [each for each in found if ended or each.ends_at > now]
    for each in shown:
        mark = "ended  " if each.ends_at <= now else "active " if each.starts_at <= now else "ahead  "
        print(mark, words(each))
    if not shown:
        print("nothing is held back")


@silence.command()
def expire(
    identity: Annotated[str, typer.Argument(metavar="ID", help="as `silence list` prints it")],
    config: OptionalConfig = None,
) -> None:
    """End a silence or a maintenance window now."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.notes import end_silence  # noqa: PLC0415
    from streams.worker import wall_clock  # noqa: PLC0415

    settings = configured(config)
    asyncio.run(end_silence(settings, client_settings(settings.kafka, os.environ), identity, wall_clock()))
    print(f"{identity} has ended")


def feedback(
    series: Annotated[str, typer.Argument(help='as alerts name it: http_errors{service="checkout"}')],
    verdict: Annotated[str, typer.Argument(help="false-alarm, real or missed")],
    at: Annotated[str, typer.Option(help="when it was: Unix ms, or RFC 3339")],
    side: Annotated[str | None, typer.Option(help="below or above what was expected")] = None,
    config: OptionalConfig = None,
) -> None:
    """Say that an alarm was nothing, was real, or was missed: the series' threshold moves."""
    from streams.access import client_settings  # noqa: PLC0415
    from streams.notes import say  # noqa: PLC0415

    kafka = configured(config).kafka
    word = asyncio.run(
        say(kafka, client_settings(kafka, os.environ), series, _time_ms(at), verdict, side=side, by=_user())
    )
    print(f"told: {word.verdict} at {word.ts} on {word.series}")


def _user() -> str:
    import getpass  # noqa: PLC0415

    return getpass.getuser()


def _duration_ms(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if unit not in UNITS or not number.replace(".", "", 1).isdigit() or float(number) <= 0:
        fail(f"--for {text}: expected a number and s, m, h or d, such as 90m")
    return int(float(number) * UNITS[unit] * 1000)


def _time_ms(text: str) -> int:
    if text.isdigit():
        return int(text)
    try:
        return int(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return fail(f"--at {text}: expected Unix ms, or a time such as 2026-11-24T12:00:00Z")
