"""Which label makes the number of series explode, from the identities of live series."""

from collections.abc import Mapping
from typing import Any

import msgspec

LOOKED_AT = 2_048


def widest(series: Mapping[bytes, Any]) -> str:
    """In words for an operator: the label with the most distinct values among evenly spread series.

    >>> widest({b'["up",[["pod","a"],["zone","x"]]]': 0, b'["up",[["pod","b"],["zone","x"]]]': 0})
    "label 'pod' has the most values, 2 among 2 of the series; most of them are of the metric 'up'"
    """
    identities = list(series)
    looked = identities[:: len(identities) // LOOKED_AT + 1]
    values: dict[str, set[str]] = {}
    metrics: dict[str, int] = {}
    for identity in looked:
        metric, labels = msgspec.json.decode(identity.lstrip(b"h"), type=tuple[str, list[tuple[str, str]]])
        metrics[metric] = metrics.get(metric, 0) + 1
        for name, value in labels:
            values.setdefault(name, set()).add(value)
    if not values:
        return "the series have no labels, their metric names differ"
    name = max(values, key=lambda name: (len(values[name]), name))
    metric = max(metrics, key=lambda metric: (metrics[metric], metric))
    return (
        f"label {name!r} has the most values, {len(values[name])} among {len(looked)} of the series; "
        f"most of them are of the metric {metric!r}"
    )
