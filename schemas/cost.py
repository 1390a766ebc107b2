"""What a target cost this month, and what other ways of scaling it would have cost."""

from typing import Literal

import msgspec

from schemas.message import Message

Mode = Literal["act", "shadow", "cluster"]


class FleetCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way of scaling, since the report's `since`: what it paid, and how often it was too small.

    `spend` is in the currency of the configured prices and holds no carbon; `carbon_cost` is the price of
    `carbon_kg`.
    """

    replica_hours: float
    spend: float
    carbon_kg: float
    carbon_cost: float
    breach_minutes: float
    incidents: int


class Cost(Message, frozen=True, kw_only=True, tag="cost/1"):
    """A target's calendar month (UTC) up to `ts`, from `since` on (Unix ms).

    `fleets` holds `actual`, what the platform ran; `hpa`, the rule of the Kubernetes HPA on the same load;
    `static`, a fleet that never changes and serves the highest load so far; and, where `mode` is shadow or
    cluster, `decided`, what the target's own planner would have run. `expected` and `upper` are the actual
    spend at the month's end: the mean, and the 0.9 quantile.
    """

    target: str
    month: str
    mode: Mode
    since: int
    ts: int
    fleets: dict[str, FleetCost]
    expected: float
    upper: float
    budget: float | None = None
