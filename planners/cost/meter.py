"""What a fleet cost and how often it was too small; and a fleet whose replicas take time to start."""

import msgspec

from planners.cost.prices import Prices, Risk, hourly

APART_MS = 300_000  # breaches closer than this are one incident


class Meter(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Sums since the month began. `breached_ms` is when a breach last ended (Unix ms)."""

    replica_hours: float = 0.0
    spend: float = 0.0
    carbon_kg: float = 0.0
    carbon_cost: float = 0.0
    breach_s: float = 0.0
    incidents: int = 0
    breached_ms: int | None = None

    def plus(
        self, prices: Prices, risk: Risk, *, ts: int, elapsed_s: float, replicas: float, breach_s: float
    ) -> "Meter":
        """With the `elapsed_s` up to `ts` (Unix ms) added, with `replicas` paid on the mean."""
        hours = elapsed_s / 3_600.0
        cost = hourly(prices, risk, replicas, ts // 3_600_000 % 24)
        new = breach_s > 0.0 and (
            self.breached_ms is None or ts - round(elapsed_s * 1_000) - self.breached_ms > APART_MS
        )
        return Meter(
            replica_hours=self.replica_hours + replicas * hours,
            spend=self.spend + cost.spend * hours,
            carbon_kg=self.carbon_kg + cost.carbon_kg * hours,
            carbon_cost=self.carbon_cost + cost.carbon_cost * hours,
            breach_s=self.breach_s + breach_s,
            incidents=self.incidents + new,
            breached_ms=ts if breach_s > 0.0 else self.breached_ms,
        )


class Fleet(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Replicas that are wanted, those that serve, and those that start: (ready at, Unix ms; count)."""

    wanted: int
    running: int
    starting: tuple[tuple[int, int], ...] = ()

    def resized(self, ts: int, wanted: int, startup_s: float) -> "Fleet":
        """Asked at `ts` (Unix ms) to become `wanted`; those that go, go at once, the youngest first."""
        starting = list(self.starting)
        if wanted > self.wanted:
            starting.append((ts + round(startup_s * 1_000), wanted - self.wanted))
        drop = max(self.wanted - wanted, 0)
        while drop and starting:
            ready_at, count = starting.pop()
            if count > drop:
                starting.append((ready_at, count - drop))
            drop = max(drop - count, 0)
        return Fleet(wanted=wanted, running=self.running - drop, starting=tuple(starting))

    def until(self, begin: int, end: int, need: float) -> tuple["Fleet", float]:
        """The fleet at `end`, and for how many seconds since `begin` (Unix ms) it was below `need`."""
        at, running, short_ms = begin, self.running, 0
        left = list(self.starting)
        while left and left[0][0] <= end:
            ready_at, count = left.pop(0)
            if need > running:
                short_ms += max(ready_at - at, 0)
            at, running = max(ready_at, at), running + count
        if need > running:
            short_ms += end - at
        return Fleet(wanted=self.wanted, running=running, starting=tuple(left)), short_ms / 1_000.0
