"""Which version of a model has the word on a target, on what data, and how well it does."""

from typing import Any, Literal

import msgspec

from schemas.message import Message

Standing = Literal["champion", "challenger"]


class ModelVersion(Message, frozen=True, kw_only=True, tag="model-version/1"):
    """The standing of one version at `ts` (Unix ms); the newest record of an `id` is the one that holds.

    `version` is made of the model, its parameters and the code's version, so equal ones are the same. It
    learnt from `data_from` to `ts`. `metrics` are recent: losses, coverage of quantiles, drift of the input.
    `reason` says why it stands as it does.
    """

    id: str
    target: str
    model: str
    version: str
    code: str
    parameters: dict[str, Any]
    standing: Standing
    data_from: int
    ts: int
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    reason: str = ""
