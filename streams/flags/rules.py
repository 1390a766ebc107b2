"""Which variant of a flag a unit gets."""

from typing import Any, NamedTuple

from planners.releases.assignment import assign, shares
from schemas import Flag


class FlagError(ValueError):
    """A flag's rule cannot be followed; the text names it and says what is expected."""


class Chosen(NamedTuple):
    """A variant and its value; `split` says that the unit's hash chose it."""

    variant: str
    value: Any
    split: bool


def check(flag: Flag) -> None:
    """Raise FlagError unless every variant that is named has a value, and the percentages add up."""
    for variant in (flag.default, *flag.percents):
        if variant not in flag.variants:
            known = ", ".join(flag.variants)
            raise FlagError(f"flag {flag.key}: there is no variant {variant}; it has {known or 'none'}")
    try:
        shares(flag.percents)
    except ValueError as error:
        raise FlagError(f"flag {flag.key}: {error}") from error


def choose(flag: Flag, unit: str | None) -> Chosen:
    """The variant of `unit` (a user, a session, a target); None is no unit in particular.

    A unit keeps its variant as long as the percentages do, and whoever asks. None gets the default, but
    where one variant has all units.

    >>> flag = Flag(key="new", variants={"on": True, "off": False}, default="off", version=1,
    ...             percents={"on": 25.0})
    >>> [unit for unit in ("ann", "bob", "cid", "dan", "eve") if choose(flag, unit).value]
    ['ann']
    """
    if not flag.enabled or not flag.percents:
        return Chosen(flag.default, flag.variants[flag.default], False)
    counts = shares(dict(sorted(flag.percents.items())))
    if unit is None:
        unit_variant = next((name for name, percent in flag.percents.items() if percent == 100), None)
    else:
        unit_variant = assign(flag.key, unit, counts)
    variant = unit_variant or flag.default
    return Chosen(variant, flag.variants[variant], unit is not None)
