"""What happened to a target's releases: the audit trail."""

from typing import Literal

from schemas.message import Message

What = Literal[
    "deployed",  # a release reached the target
    "set-traffic",  # its share of the traffic was set
    "paused",  # its canary waits for a person
    "resumed",
    "promoted",
    "rolled-back",
    "held",  # something was not done; the reason says what and why
]


class ReleaseChange(Message, frozen=True, kw_only=True, tag="release-change/1"):
    """One line of the audit: what was done to `release` at `ts` (Unix ms), by whom, why.

    `id` is the same when the same change is told again. `to` is what a rollback went back to, `percent` the
    share of the traffic that the release had afterwards, None where it is not known.
    """

    id: str
    target: str
    ts: int
    release: str
    what: What
    by: str
    reason: str
    to: str | None = None
    percent: float | None = None
