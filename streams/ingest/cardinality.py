"""Which label makes the number of series explode."""

from streams.ingest.series import SeriesIndex

_LOOKED_AT = 2048


def widest_label(index: SeriesIndex) -> str:
    """The label with the most distinct values among evenly spread series, in words for an operator."""
    rows = list(index)
    values: dict[str, set[str]] = {}
    looked = rows[:: len(rows) // _LOOKED_AT + 1]
    for row in looked:
        for name, value in index.labels(row).items():
            values.setdefault(name, set()).add(value)
    if not values:
        return "the series have no labels, their metric names differ"
    name = max(values, key=lambda name: (len(values[name]), name))
    return f"label {name!r} has the most values, {len(values[name])} among {len(looked)} of the series"
