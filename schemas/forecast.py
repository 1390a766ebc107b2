"""The load that a target is expected to see."""

from schemas.message import Message


class Forecast(Message, frozen=True, kw_only=True, tag="forecast/1"):
    """Quantiles of a target's load ahead, made at event time `ts` (Unix ms).

    `values[h][q]` is the quantile `levels[q]` of the load at `ts + horizons_ms[h]`, in the load's
    unit. `observed` is the load at `ts`. `model` names what made it; `skill` is one minus its recent
    pinball loss over that of a persistence forecast (positive: better), None without enough history.
    """

    id: str
    target: str
    ts: int
    observed: float
    horizons_ms: list[int]
    levels: list[float]
    values: list[list[float]]
    model: str
    skill: float | None = None
