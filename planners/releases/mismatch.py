"""Sample-ratio mismatch: do the variants get the units that they were meant to get?

A sequential test of multinomial counts against their intended shares, valid however often one looks (Lindon
and Malek 2022, "Anytime-valid inference for multinomial count data", NeurIPS): the Dirichlet mixture of all
multinomials against the intended one is an e-value. A mismatch means that assignment, logging or filtering
depends on the variant, and that no result of the experiment can be trusted (Fabijan et al. 2019, KDD).
"""

import math
from collections.abc import Mapping

# The mixture is centred on the intended shares with the weight of this many units.
_CONCENTRATION = 200.0


def log_mismatch(units: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Log e-value against "the `units` were split by `shares`"; `shares` are positive, of any sum.

    >>> log_mismatch({"a": 500, "b": 500}, {"a": 1, "b": 1}) < 0
    True
    >>> log_mismatch({"a": 580, "b": 420}, {"a": 1, "b": 1}) > math.log(1000)
    True
    """
    total = sum(shares.values())
    count = sum(units.values())
    result = math.lgamma(_CONCENTRATION) - math.lgamma(_CONCENTRATION + count)
    for variant, share in shares.items():
        seen, weight = units.get(variant, 0), _CONCENTRATION * share / total
        result += math.lgamma(weight + seen) - math.lgamma(weight) - seen * math.log(share / total)
    return result
