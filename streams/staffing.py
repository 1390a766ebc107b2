"""Whether a target had too few replicas for its load: what a release must not be blamed for."""

import msgspec

from planners.releases.joint import short_of_replicas


class Staffing(msgspec.Struct, kw_only=True):
    """The newest load of a target, and the replicas that may serve it.

    `asked` are counts that were asked for and when (Unix ms), the last of them before the start-up time the
    oldest that is kept; `told` is the count that the target itself told.
    """

    load: float | None = None
    asked: list[tuple[int, int]] = []
    told: int | None = None

    def ask(self, ts: int, replicas: int, startup_ms: int) -> None:
        """Note that `replicas` were asked for at `ts`; they serve after `startup_ms`."""
        self.asked.append((ts, replicas))
        while len(self.asked) > 1 and self.asked[1][0] <= ts - startup_ms:
            self.asked.pop(0)

    def short(self, ts: int, capacity: float | None, startup_ms: int) -> bool:
        """Whether fewer replicas served at `ts` than the load needs, `capacity` being what one serves."""
        if self.load is None or capacity is None:
            return False
        ready = self.told
        if ready is None:
            done = [count for at, count in self.asked if at <= ts - startup_ms]
            coming = [count for at, count in self.asked if at > ts - startup_ms]
            known = [*done[-1:], *coming]
            if not known:
                return False
            ready = min(known)  # what was taken away serves no more, what was added serves not yet
        return short_of_replicas(self.load, ready, capacity)
