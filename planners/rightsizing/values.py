"""What a sizer answers."""

import msgspec


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request in the usage's unit, from `ts` (Unix s) on, with the reasons for it in words.

    `lower` and `upper` bound it at one standard error of its quantile: inside them a running container
    need not be touched.
    """

    ts: float
    value: float
    lower: float
    upper: float
    reason: str
