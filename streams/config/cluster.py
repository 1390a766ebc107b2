"""What targets share that are planned together: the keys of `[cluster]`."""

from typing import Annotated

from streams.config.section import Positive, Section
from streams.config.section import key as _key


class ClusterConfig(Section, frozen=True, kw_only=True):
    """The limits of `tidegate optimise`."""

    capacity: Annotated[
        dict[str, Positive], _key("what there is of each resource, by a name of your choice")
    ] = {}
    budget_per_hour: Annotated[
        Positive | None, _key("most that all targets in mode cluster may cost in an hour")
    ] = None
    interval_s: Annotated[float, _key("seconds between two plans", gt=0)] = 60.0
    forecast_age_s: Annotated[
        float, _key("a target whose newest forecast is older keeps what it has, in seconds", gt=0)
    ] = 300.0
