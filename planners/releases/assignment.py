"""Which variant a unit (a user, a session) gets: sticky, deterministic, the same in every language.

1. Text: the experiment's name, a colon, the unit's id; UTF-8.
2. SHA-256 of it; the first 13 hexadecimal digits as a whole number (52 bits: exact even in a double).
3. That number modulo 10 000 is the unit's bucket.
4. The variants, in the order they are listed, own consecutive ranges of buckets as large as their shares.

Test vectors are in docs/releases.md. Different experiments hash differently, so their assignments are
independent. Growing the first variant's share at the cost of its neighbour moves only units between the two.
"""

import hashlib
from collections.abc import Mapping

BUCKETS = 10_000


def bucket(experiment: str, unit: str) -> int:
    """The bucket of `unit` in `experiment`, in [0, 10 000).

    >>> bucket("checkout-button", "user-1"), bucket("checkout-button", "user-2")
    (7920, 4895)
    """
    digest = hashlib.sha256(f"{experiment}:{unit}".encode()).hexdigest()
    return int(digest[:13], 16) % BUCKETS


def shares(percents: Mapping[str, float]) -> dict[str, int]:
    """Buckets per variant for `percents` that add up to at most 100; the rest takes no part.

    >>> shares({"control": 50, "red": 25, "blue": 25})
    {'control': 5000, 'red': 2500, 'blue': 2500}

    Raises:
        ValueError: a percentage is negative, finer than 0.01, or all of them exceed 100.
    """
    counts = {}
    for variant, percent in percents.items():
        count = round(percent * BUCKETS / 100)
        if percent < 0 or abs(count - percent * BUCKETS / 100) > 1e-6:
            raise ValueError(f"variant {variant}: {percent} % must be 0 or more, in steps of 0.01 %")
        counts[variant] = count
    if sum(counts.values()) > BUCKETS:
        raise ValueError(f"the variants' percentages add up to {sum(percents.values()):g}, more than 100")
    return counts


def assign(experiment: str, unit: str, counts: Mapping[str, int]) -> str | None:
    """The variant of `unit`, or None where it takes no part; `counts` are buckets per variant, in order.

    >>> assign("checkout-button", "user-1", {"control": 5000, "red": 5000})
    'red'
    """
    at = bucket(experiment, unit)
    for variant, count in counts.items():
        if at < count:
            return variant
        at -= count
    return None
