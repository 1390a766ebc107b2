"""What is done without a plan: all give up the same share. The baseline."""

from collections.abc import Sequence

from planners.optimiser.values import ClusterLimits, Demand


def proportional(demands: Sequence[Demand], limits: ClusterLimits, wanted: Sequence[int]) -> dict[str, int]:
    """`wanted` replicas by target, all cut by the factor that fits the limits, rounded down."""
    whole = dict(limits.capacity)
    factor = 1.0
    for name, amount in whole.items():
        used = sum(each.uses.get(name, 0.0) * count for each, count in zip(demands, wanted, strict=True))
        factor = min(factor, amount / used if used > 0.0 else 1.0)
    if limits.budget is not None:
        spent = sum(each.price * count for each, count in zip(demands, wanted, strict=True))
        factor = min(factor, limits.budget / spent if spent > 0.0 else 1.0)
    return {each.target: int(count * factor + 1e-9) for each, count in zip(demands, wanted, strict=True)}
