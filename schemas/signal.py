"""Samples that a target is scaled or judged on, gathered under the target's key."""

from typing import Literal

from schemas.message import Message

Arm = Literal["control", "canary"]


class Signal(Message, frozen=True, kw_only=True, tag="signal/1"):
    """Samples of one series, forwarded from `metrics` to the target that uses them.

    `role` is the configured use ("load", or the name of a release metric), `arm` tells control from
    canary where the labels do. `times` are Unix ms and ascend from one signal of a series to the
    next, so a replay is recognised; `values` go with them. `source` is the input partition.
    """

    target: str
    series: str
    role: str
    arm: Arm | None
    times: list[int]
    values: list[float]
    source: int
