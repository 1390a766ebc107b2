"""Samples that a target is scaled or judged on, gathered under the target's key."""

from schemas.message import Message


class Signal(Message, frozen=True, kw_only=True, tag="signal/1"):
    """Samples of one series, forwarded from `metrics` to the target that uses them.

    `role` is the configured use ("load", or the name of a release metric), `arm` tells control from
    canary where the labels do. `times` are Unix ms and ascend, `values` go with them. `source` and
    `offset` are the input partition and the last input offset contained, so a replay is recognised.
    """

    target: str
    series: str
    role: str
    arm: str | None
    times: list[int]
    values: list[float]
    source: int
    offset: int
