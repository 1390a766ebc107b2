"""What every sizer is, and the sizers by name."""

from typing import Literal, Protocol, get_args

from planners.rightsizing.mixture import MixtureSizer, SizingPolicy
from planners.rightsizing.values import Request
from planners.rightsizing.vpa import VpaSizer

Resource = Literal["cpu", "memory"]
MEBIBYTE = 2.0**20

# Memory that is missing kills, CPU that is missing delays: the one is covered more often than the other.
POLICIES: dict[str, SizingPolicy] = {
    "cpu": SizingPolicy(),
    "memory": SizingPolicy(level=0.995, caution=2.0, oom_least=100.0 * MEBIBYTE),
}


class UnknownSizerError(ValueError):
    """No sizer, or no resource, has that name; the text lists the known ones."""


class Sizer(Protocol):
    """Answers one container's request for one resource, from its usage alone and never from later usage."""

    @property
    def request(self) -> Request | None:
        """The request in force; None before the first sample."""
        ...

    def observe(self, ts: float, usage: float, duration_s: float) -> Request:
        """Learn the usage that was held for `duration_s` up to `ts` (Unix s); the request from then on."""
        ...

    def out_of_memory(self, ts: float, usage: float) -> Request:
        """Learn that the container was killed for using `usage` of memory."""
        ...


def known_sizers() -> tuple[str, ...]:
    """Names that `make_sizer` takes."""
    return ("mixture", "vpa")


def make_sizer(name: str, resource: str = "cpu", policy: SizingPolicy | None = None) -> Sizer:
    """The sizer of that name for a resource; `policy` replaces the mixture's own.

    Raises:
        UnknownSizerError: there is no such sizer or resource; the text lists the known ones.
    """
    if resource not in get_args(Resource):
        raise UnknownSizerError(f"unknown resource {resource!r}: known are {', '.join(get_args(Resource))}")
    if name == "mixture":
        return MixtureSizer(policy or POLICIES[resource])
    if name == "vpa":
        return VpaSizer(oom_least=POLICIES[resource].oom_least)
    raise UnknownSizerError(f"unknown sizer {name!r}: known are {', '.join(known_sizers())}")
