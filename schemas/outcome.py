"""What became of a command."""

from typing import Literal

from schemas.message import Message

Status = Literal[
    "executed",  # acted, or found the platform already as asked
    "dry-run",  # would have acted
    "failed",  # the platform refused for good, or every retry failed
    "duplicate",  # this id has an outcome already
    "fenced",  # a newer command of the kind has acted on the target
    "expired",  # too old to act on
    "paused",  # the target, or everything, is paused
    "cooling-down",  # too soon after the last action of the kind
    "unauthorised",  # unsigned, or the signature does not match
    "unknown",  # interrupted between acting and reporting, and not safe to repeat
]


class Outcome(Message, frozen=True, kw_only=True, tag="outcome/1"):
    """The end of one command on one target. `at` is Unix ms, `attempts` counts calls to the platform."""

    command: str
    target: str
    kind: str
    status: Status
    detail: str
    actuator: str
    at: int
    attempts: int = 0
