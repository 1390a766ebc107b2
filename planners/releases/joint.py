"""One view of scaling and releases: neither undoes the other.

A failing canary is not scaled up: more replicas of it are more failures. A release is not rolled back because
replicas came late: ticks in which the target was short of replicas say nothing about the release.
"""

from planners.releases.verdict import Verdict
from schemas import Scale

# From this part of the evidence that a rollback needs, a canary counts as failing.
SUSPICIOUS = 0.1


def short_of_replicas(load: float, ready: float, capacity: float, utilisation: float = 1.0) -> bool:
    """Whether `ready` replicas were fewer than the `load` needs.

    `capacity` is the load one replica served before the release, in the load's unit: a release that makes
    replicas slower must not pass for a shortage. `utilisation` is the share of it that counts as full.

    >>> short_of_replicas(load=450.0, ready=4, capacity=100.0)
    True
    """
    return load > ready * capacity * utilisation


def failing(verdict: Verdict | None) -> bool:
    """Whether the canary is being rolled back, or shows a tenth of the evidence that this needs."""
    if verdict is None or verdict.verdict == "promote":
        return False
    if verdict.verdict == "rollback":
        return True
    return any(seen.evidence >= SUSPICIOUS * seen.needed for seen in verdict.per_metric)


def allowed_scale(scale: Scale, verdict: Verdict | None) -> tuple[Scale | None, str | None]:
    """The scaling of a canary that may be carried out now, and why it was changed; None: none at all.

    Scaling down and holding are always allowed.
    """
    if scale.replicas <= scale.previous or not failing(verdict):
        return scale, None
    worst = verdict.metric if verdict is not None else None
    return None, f"not scaled up to {scale.replicas}: the release looks bad on {worst}"
