"""What a service cost and how often it fell short, over a sequence of intervals."""

from dataclasses import dataclass

_MERGE_MS = 300_000  # breaches closer than five minutes are one incident


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Figures over the accounted time.

    `replica_hours` counts every replica from the moment it was asked for. `breach_minutes` is the time
    with more load than the ready replicas can serve; breaches less than five minutes apart are one of
    `incidents`. `unserved` is the share of the load above capacity, `utilisation` the served load over
    what the paid replicas could have served, `changes` how often the desired count changed.
    """

    replica_hours: float
    breach_minutes: float
    incidents: int
    unserved: float
    utilisation: float
    changes: int


@dataclass(slots=True)
class Meter:
    """Adds intervals up. `capacity` is the load that one replica serves."""

    capacity: float
    replica_ms: float = 0.0
    breach_ms: int = 0
    incidents: int = 0
    load: float = 0.0
    over: float = 0.0
    changes: int = 0
    last_breach: int | None = None
    last_paid: int | None = None

    def add(self, ts: int, span_ms: int, load: float, paid: int, ready: int) -> None:
        """One interval of `span_ms` from `ts` (Unix ms), with constant `load` and replicas."""
        over = max(load - ready * self.capacity, 0.0)
        self.replica_ms += paid * span_ms
        self.load += load * span_ms
        self.over += over * span_ms
        if over > 0:
            self.breach_ms += span_ms
            if self.last_breach is None or ts - self.last_breach > _MERGE_MS:
                self.incidents += 1
            self.last_breach = ts
        if self.last_paid is not None and paid != self.last_paid:
            self.changes += 1
        self.last_paid = paid

    def account(self) -> Account:
        """The figures so far; shares of nothing are 0."""
        offered = self.replica_ms * self.capacity
        return Account(
            replica_hours=self.replica_ms / 3_600_000,
            breach_minutes=self.breach_ms / 60_000,
            incidents=self.incidents,
            unserved=self.over / self.load if self.load > 0 else 0.0,
            utilisation=(self.load - self.over) / offered if offered > 0 else 0.0,
            changes=self.changes,
        )
