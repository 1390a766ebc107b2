"""What the planners ask the actuators to do."""

import msgspec

from schemas.message import Message


class _Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """The base of the kinds of action, told apart by `kind`."""


class Scale(_Action, frozen=True, kw_only=True, tag="scale"):
    """Set the target's desired replicas; `previous` is the count the planner knew."""

    replicas: int
    previous: int


class Rollback(_Action, frozen=True, kw_only=True, tag="rollback"):
    """Take `release` out of production in favour of `to` (None: whatever ran before)."""

    release: str
    to: str | None


class Promote(_Action, frozen=True, kw_only=True, tag="promote"):
    """Give `release` all the traffic for good."""

    release: str


class SetTraffic(_Action, frozen=True, kw_only=True, tag="set-traffic"):
    """Give `release` a share of the traffic, `percent` in [0, 100]."""

    release: str
    percent: float


class Place(_Action, frozen=True, kw_only=True, tag="place"):
    """Run `job` on `node` from `start_at` (Unix ms)."""

    job: str
    node: str
    start_at: int


Action = Scale | Rollback | Promote | SetTraffic | Place


class Command(Message, frozen=True, kw_only=True, tag="command/1"):
    """One decision, to be carried out at most once.

    `id` is deterministic: the same decision replayed has the same id. `sequence` grows with each
    decision of one kind on one target; an actuator never lets a lower one act after a higher one.
    `issued_at` and `expires_at` are Unix ms. `reasons` say why, in words and numbers.
    `key_id` and `signature` are filled where commands are signed.
    """

    id: str
    target: str
    sequence: int
    action: Action
    reasons: list[str]
    issued_at: int
    expires_at: int
    key_id: str | None = None
    signature: str | None = None

    @property
    def kind(self) -> str:
        """The action's kind: scale, rollback, promote, set-traffic or place."""
        kind = type(self.action).__struct_config__.tag
        assert isinstance(kind, str)  # noqa: S101
        return kind
