"""The hands within their blast radius, as configured."""

from collections.abc import Callable, Mapping

import msgspec

from actuators import Actuator
from actuators.guard import Budget, Fleet, GuardConfig, Guarded
from streams.config import Config


def guarded(
    config: Config, actuators: Mapping[str, Actuator], budget: Budget, clock: Callable[[], int]
) -> dict[str, Actuator]:
    """The actuators (by target) within the limits of `[guards]` and of their targets, where there are any."""
    limits = GuardConfig(
        **msgspec.structs.asdict(config.guards),
        min_serving={target.name: target.min_serving for target in config.targets if target.min_serving},
    )
    if not limits.counts and not limits.min_serving:
        return dict(actuators)
    fleet = Fleet(actuators)
    return {
        name: Guarded(actuator, limits=limits, budget=budget, fleet=fleet, clock=clock)
        for name, actuator in actuators.items()
    }
