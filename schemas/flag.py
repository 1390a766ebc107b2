"""A feature flag: who gets which variant."""

from typing import Any

import msgspec

from schemas.message import Message


class Flag(Message, frozen=True, kw_only=True, tag="flag/1"):
    """The rule of the flag `key`, the newest record of that key being the one that holds.

    `percents` are shares of the units that get each variant, at most 100 in all; the rest get `default`.
    Units are assigned by hash in the order of the variants' names, so a single share that grows takes in
    more units and lets none go. `variants` holds each variant's value. `version` grows with each change; one
    that is not newer is a replay. A flag that is not `enabled` gives everyone `default`.
    `release` is the canary whose share the percentage is, where it is one.
    """

    key: str
    variants: dict[str, Any]
    default: str
    version: int
    percents: dict[str, float] = msgspec.field(default_factory=dict)
    enabled: bool = True
    release: str | None = None
    by: str = ""
    reason: str = ""
