"""Stopping and freeing the hands from the command line."""

import getpass
from collections.abc import Mapping
from pathlib import Path

from streams.config import read
from streams.worker import open_ledger, wall_clock


async def pause(config: Path, target: str | None, reason: str, environ: Mapping[str, str]) -> str:
    """Pause `target`, or everything (None); returns what to tell the operator.

    Raises:
        ConfigError: the configuration cannot be used.
        LedgerUnavailable: the ledger does not answer; nothing acts then either.
    """
    ledger = open_ledger(read(config), environ)
    try:
        await ledger.pause(target, by=getpass.getuser(), reason=reason, at=wall_clock())
    finally:
        await ledger.close()
    return f"paused: {target or 'everything'}; commands are refused until `tidegate resume`"


async def resume(config: Path, target: str | None, environ: Mapping[str, str]) -> str:
    """Lift the pause of `target`, or that of everything (None).

    Raises:
        ConfigError: the configuration cannot be used.
        LedgerUnavailable: the ledger does not answer.
    """
    ledger = open_ledger(read(config), environ)
    try:
        lifted = await ledger.resume(target)
        left = await ledger.pauses()
    finally:
        await ledger.close()
    words = f"resumed: {target or 'everything'}" if lifted else f"{target or 'everything'} was not paused"
    still = ", ".join(pause.target or "everything" for pause in left)
    return f"{words}; still paused: {still}" if still else words
