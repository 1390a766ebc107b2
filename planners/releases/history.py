"""What ran on a target when, which version was last good, and whether rolling back again makes sense."""

from typing import Annotated, Any, Literal

import msgspec

from schemas.release_change import What

Standing = Literal["unproven", "good", "bad"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit: what was done to `release` at `ts` (Unix ms), by whom, why.

    For a rollback `to` is what it went back to; for traffic `percent` is its share. `beside` says that a
    control ran beside it.
    """

    ts: int
    release: str
    how: What
    by: str
    reason: str
    to: str | None = None
    percent: float | None = None
    beside: bool = False


def _key(description: str, **bounds: Any) -> msgspec.Meta:
    return msgspec.Meta(description=description, **bounds)


class HistoryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much is remembered, and when rollbacks stop being the answer.

    After `most_rollbacks` within `window_ms` a person decides: what keeps failing is not the release. That
    a canary did worse than the control beside it does not count: there it is the release. A release that was
    rolled back is refused for `refuse_ms`, unless a person insists.
    """

    most_rollbacks: Annotated[int, _key("rollbacks within window_ms, then a person decides", ge=1)] = 2
    window_ms: Annotated[int, _key("ms within which rollbacks are counted", gt=0)] = 6 * 3_600_000
    refuse_ms: Annotated[int, _key("ms for which a release that was rolled back is refused", ge=0)] = (
        24 * 3_600_000
    )
    kept: Annotated[int, _key("changes that are remembered", ge=1)] = 200


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of one target, oldest first, and each release's standing."""

    config: HistoryConfig = HistoryConfig()
    changes: tuple[Change, ...] = ()
    standing: dict[str, Standing] = msgspec.field(default_factory=dict)
    current: str | None = None

    def deployed(self, ts: int, release: str, by: str = "", reason: str = "") -> "History":
        """`release` runs from `ts`. A new name is unproven; a bad one that is tried again is unproven too."""
        standing = self.standing.get(release, "unproven")
        standing = "unproven" if standing == "bad" else standing
        change = Change(ts=ts, release=release, how="deployed", by=by, reason=reason)
        return self._with(change, {release: standing}, release)

    def promoted(self, ts: int, release: str, by: str = "", reason: str = "") -> "History":
        """`release` proved good at `ts`."""
        change = Change(ts=ts, release=release, how="promoted", by=by, reason=reason)
        return self._with(change, {release: "good"}, release)

    def rolled_back(
        self, ts: int, release: str, to: str | None, by: str = "", reason: str = "", *, beside: bool = False
    ) -> "History":
        """`release` was taken out at `ts` in favour of `to`; `beside`: which ran beside it as its control."""
        change = Change(ts=ts, release=release, how="rolled-back", by=by, reason=reason, to=to, beside=beside)
        return self._with(change, {release: "bad"}, to)

    def last_good(self, other_than: str | None = None) -> str | None:
        """The good release that ran last, `other_than` aside; None where none is known to be good."""
        for change in reversed(self.changes):
            if change.release != other_than and self.standing.get(change.release) == "good":
                return change.release
        return None

    def way_back(self, release: str, previous: str | None) -> str | None:
        """Where to roll `release` back to: what ran before it unless that is bad, else the last good one."""
        if previous is not None and previous != release and self.standing.get(previous) != "bad":
            return previous
        return self.last_good(other_than=release)

    def refuses_rollback(self, ts: int) -> str | None:
        """Why no further rollback should be made at `ts`; None where one may be."""
        recent = [each for each in self._rollbacks_since(ts - self.config.window_ms) if not each.beside]
        if len(recent) < self.config.most_rollbacks:
            return None
        names = ", ".join(change.release for change in recent)
        hours = self.config.window_ms / 3_600_000
        return (
            f"{len(recent)} rollbacks within {hours:g} h ({names}): the cause may not be the release; "
            "a person decides, nothing is rolled back until then"
        )

    def refuses_release(self, ts: int, release: str) -> str | None:
        """Why `release` should not be rolled out again at `ts`; None where it may be."""
        for change in reversed(self._rollbacks_since(ts - self.config.refuse_ms)):
            if change.release == release:
                minutes = (ts - change.ts) // 60_000
                return f"{release} was rolled back {minutes} min ago: {change.reason or 'no reason given'}"
        return None

    def _rollbacks_since(self, since: int) -> list[Change]:
        return [change for change in self.changes if change.how == "rolled-back" and change.ts > since]

    def _with(self, change: Change, standing: dict[str, Standing], current: str | None) -> "History":
        """The history with `change`; one that it already holds, replayed, changes nothing."""
        if change in self.changes:
            return self
        return msgspec.structs.replace(
            self,
            changes=(*self.changes, change)[-self.config.kept :],
            standing={**self.standing, **standing},
            current=current,
        )
