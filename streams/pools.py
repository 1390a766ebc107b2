"""Series that have something in common: a row of its own learns them as one, or watches them together."""

from collections.abc import Mapping

from schemas import series_key

MARK = "="  # no metric of a sample may contain it
GROUP = "=group{"


class Similar:
    """Finds the pool of a series: a row that learns the samples of all similar series as one.

    >>> Similar(("service",)).pool("rps", {"service": "cart", "pod": "a"})
    ('=rps', {'service': 'cart'})
    >>> Similar(("service",)).pool("rps", {"pod": "a"}) is None
    True
    """

    def __init__(self, by: tuple[str, ...]) -> None:
        self._by = by

    def pool(self, metric: str, labels: Mapping[str, str]) -> tuple[str, dict[str, str]] | None:
        """Metric and labels that name the pool's row; None where the series lacks one of the labels."""
        if not all(name in labels for name in self._by):
            return None
        return MARK + metric, {name: labels[name] for name in self._by}


class Together:
    """Finds the group of a series: a row whose model watches all series of the group at once.

    >>> Together(("host",)).group("cpu", {"host": "a", "core": "1"})
    ('=group', {'host': 'a'}, 'cpu{core="1"}')
    """

    def __init__(self, by: tuple[str, ...]) -> None:
        self._by = by

    def group(self, metric: str, labels: Mapping[str, str]) -> tuple[str, dict[str, str], str] | None:
        """Metric and labels that name the group's row, and what the series is called within it.

        None where the series lacks one of the labels.
        """
        if not all(name in labels for name in self._by):
            return None
        others = {name: value for name, value in labels.items() if name not in self._by}
        return f"{MARK}group", {name: labels[name] for name in self._by}, series_key(metric, others)


class Commons:
    """What series are to have in common, as configured; false where that is nothing."""

    def __init__(self, similar_by: tuple[str, ...] | None = None, group_by: tuple[str, ...] = ()) -> None:
        self._similar = Similar(similar_by) if similar_by is not None else None
        self._together = Together(group_by) if group_by else None

    def __bool__(self) -> bool:
        return self._similar is not None or self._together is not None

    def pool(self, metric: str, labels: Mapping[str, str]) -> tuple[str, dict[str, str]] | None:
        """As `Similar.pool`."""
        return self._similar.pool(metric, labels) if self._similar is not None else None

    def group(self, metric: str, labels: Mapping[str, str]) -> tuple[str, dict[str, str], str] | None:
        """As `Together.group`."""
        return self._together.group(metric, labels) if self._together is not None else None

    def keeps(self, name: str) -> bool:
        """Whether stored rows of this name are still of use."""
        return (self._together if name.startswith(GROUP) else self._similar) is not None


NOTHING = Commons()


def is_pool(series: str) -> bool:
    """Whether this is the name of such a row rather than of a series."""
    return series.startswith(MARK)
