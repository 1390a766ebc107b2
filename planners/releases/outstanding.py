"""Actions that were asked for and have no outcome yet: asked for again until they are carried out."""

import msgspec

from planners.releases.canary import CanaryAction
from planners.releases.history import Change
from schemas import Promote, Rollback, SetTraffic

AGAIN_MS = 60_000
"""What was not carried out is asked for again after this time."""


class Asked(msgspec.Struct, frozen=True):
    """An action decided at `ts` (Unix ms); `again_at` is when it is to be asked for once more."""

    ts: int
    action: CanaryAction
    tries: int = 1
    again_at: int | None = None

    @property
    def kind(self) -> str:
        """The action's kind: set-traffic, promote or rollback."""
        return str(type(self.action.action).__struct_config__.tag)

    def held(self, why: str) -> Change:
        """A line of the audit: it was not done, and why."""
        return Change(ts=self.ts, release=self.action.action.release, how="held", by="tidegate", reason=why)


class Outstanding(msgspec.Struct):
    """At most one action of a kind: the newest is what is wanted."""

    asked: dict[str, Asked] = {}

    def ask(self, action: CanaryAction, ts: int) -> CanaryAction:
        """Note that `action` is asked for at `ts`; returns it."""
        asked = Asked(ts, action)
        self.asked[asked.kind] = asked
        return action

    def wants(self, action: SetTraffic | Promote | Rollback) -> bool:
        """Whether just this is asked for already."""
        return any(asked.action.action == action for asked in self.asked.values())

    def drop(self, *kinds: str) -> None:
        """Forget the actions of these kinds: they are not wanted any more."""
        for kind in kinds:
            self.asked.pop(kind, None)

    def take(self, key: str) -> Asked | None:
        """Remove the action `key`, which is carried out; None where it is not asked for."""
        found = self._find(key)
        if found is not None:
            del self.asked[found.kind]
        return found

    def put_off(self, key: str, at: int, detail: str) -> list[Change]:
        """Note that the action `key` was not carried out at `at`; the first time there is a line of it."""
        found = self._find(key)
        if found is None:
            return []
        self.asked[found.kind] = msgspec.structs.replace(found, again_at=at + AGAIN_MS)
        why = f"{found.kind} was not carried out: {detail}; it is asked for again"
        return [found.held(why)] if found.tries == 1 else []

    def again(self, ts: int, give_up_ms: int) -> list[CanaryAction | Change]:
        """What is to be asked for once more at `ts`; after `give_up_ms` a person has to do it."""
        steps: list[CanaryAction | Change] = []
        for kind, asked in list(self.asked.items()):
            if asked.again_at is None or ts < asked.again_at:
                continue
            if ts - asked.ts > give_up_ms:
                del self.asked[kind]
                why = f"{kind} was not carried out in {asked.tries} tries: a person has to"
                steps.append(asked.held(why))
                continue
            first = asked.action.key.partition("~")[0]
            action = msgspec.structs.replace(asked.action, key=f"{first}~{asked.tries + 1}")
            self.asked[kind] = Asked(asked.ts, action, asked.tries + 1)
            steps.append(action)
        return steps

    def _find(self, key: str) -> Asked | None:
        return next((asked for asked in self.asked.values() if asked.action.key == key), None)
