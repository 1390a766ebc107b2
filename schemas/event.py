"""What people and other systems tell the pipeline."""

from typing import Annotated, Literal

import msgspec

from schemas.message import Message


class Deployment(Message, frozen=True, kw_only=True, tag="deployment/1"):
    """A release reached a target at `ts` (Unix ms).

    `previous` is what it replaced. `canary_percent` is the share of traffic it got where it runs
    beside a control, None where it replaced everything.
    """

    target: str
    release: str
    ts: int
    previous: str | None = None
    canary_percent: float | None = None


class MaintenanceWindow(Message, frozen=True, kw_only=True, tag="maintenance/1"):
    """Alerts of the matching series are suppressed from `starts_at` to `ends_at` (Unix ms).

    `target` narrows it to one target, `matchers` to series with these label values.
    """

    id: str
    starts_at: int
    ends_at: int
    target: str | None = None
    matchers: dict[str, str] = msgspec.field(default_factory=dict)
    reason: str = ""


class Silence(Message, frozen=True, kw_only=True, tag="silence/1"):
    """Alerts that match all of `matchers` are suppressed from `starts_at` to `ends_at` (Unix ms).

    A matcher is `name="value"`, with `=`, `!=`, `=~` or `!~` (a regular expression of the whole value). A
    later one of the same `id` replaces it: with `ends_at` now, it is expired.
    """

    id: str
    matchers: list[str]
    starts_at: int
    ends_at: int
    by: str = ""
    reason: str = ""


Verdict = Literal["false-alarm", "real", "missed"]
Side = Literal["below", "above"]


class Feedback(Message, frozen=True, kw_only=True, tag="feedback/1"):
    """An operator's word on an alarm at `ts` (Unix ms), or on a moment without one (`missed`).

    `side` is on which side of the expected value it was, where that is known. A later word on the same series
    and `ts` takes the place of an earlier one.
    """

    series: str
    ts: int
    verdict: Verdict
    anomaly: str | None = None
    by: str = ""
    side: Side | None = None


class ReleaseOrder(Message, frozen=True, kw_only=True, tag="release-order/1"):
    """A person's word on the release that is in question on a target, given at `ts` (Unix ms).

    `release` None means whichever it is. Orders of one target ascend in `ts`; an older one is a replay.
    """

    target: str
    order: Literal["pause", "resume", "promote", "abort"]
    ts: int
    by: str
    reason: str = ""
    release: str | None = None


class KnownEvent(Message, frozen=True, kw_only=True, tag="known-event/1"):
    """Something that will change a target's load and that people know of: a sale, a holiday, a launch.

    From `starts_at` to `ends_at` (Unix ms) the load is expected to be `factor` times what it would be
    otherwise: 3.0 for a sale, 0.3 for a holiday. A later one with the same `id` replaces it; a factor of 1
    calls it off.
    """

    target: str
    id: str
    starts_at: int
    ends_at: int
    factor: Annotated[float, msgspec.Meta(gt=0)]
    reason: str = ""


Event = Deployment | MaintenanceWindow | Silence | Feedback | ReleaseOrder | KnownEvent
