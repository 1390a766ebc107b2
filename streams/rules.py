"""What the configuration says of the alerts of one series: its rule, its group, who is told."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from schemas import Alert, series_key
from streams.config import AlertConfig, IncidentConfig
from streams.config.alerts import TOPIC, over
from streams.matching import matches, parse_matchers


class Rules:
    """Rules by number: 0 is [alerts] itself, number n the n-th of [[alerts.rules]].

    `for_ms`, `resolve_ms`, `flap_window_ms`, `flap_limit` and `no_data_ms` are arrays by rule.
    """

    def __init__(self, config: AlertConfig) -> None:
        self._rules = [config, *(over(config, rule) for rule in config.rules)]
        self._matchers = [parse_matchers(rule.matchers) for rule in config.rules]
        self.for_ms = self._column("for_s", 1000)
        self.resolve_ms = self._column("resolve_after_s", 1000)
        self.flap_window_ms = self._column("flap_window_s", 1000)
        self.flap_limit = self._column("flap_limit", 1)
        self.no_data_ms = self._column("no_data_s", 1000)

    def _column(self, name: str, factor: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.array([int(getattr(rule, name) * factor) for rule in self._rules], np.int64)

    def __bool__(self) -> bool:
        """Whether series may differ in their rule."""
        return bool(self._matchers)

    def __getitem__(self, rule: int) -> AlertConfig:
        return self._rules[rule]

    def of(self, metric: str, labels: Mapping[str, str], target: str | None) -> int:
        """Number of the first rule that fits the series, 0 where none does."""
        told = {**labels, "metric": metric, "target": target or ""} if self._matchers else {}
        return next((n for n, each in enumerate(self._matchers, 1) if matches(each, told)), 0)


def labels_of(alert: Alert) -> dict[str, str]:
    """What matchers see of an alert: the labels of its series, and `metric`, `target`, `kind`, `severity`."""
    return alert.labels | {
        "metric": alert.series.partition("{")[0],
        "target": alert.target or "",
        "kind": alert.kind,
        "severity": alert.severity,
    }


@dataclass(frozen=True, slots=True)
class Group:
    """Whose alerts make one incident: the labels that they share, and their name as one text."""

    labels: dict[str, str]

    @property
    def key(self) -> str:
        """The key of the group's changes."""
        return series_key("", self.labels)


class Grouping:
    """Finds the group of an alert, and its place in the topology."""

    def __init__(self, config: IncidentConfig) -> None:
        self._by = config.group_by
        self._node = config.node
        self._depends_on = config.depends_on
        self._joined = _components(config.depends_on)

    def of(self, labels: Mapping[str, str], target: str | None, series: str) -> Group:
        """The labels of `group_by` that the series has, else where in the topology it is, else its target.

        Nodes that depend on each other, directly or not, are one group. A series without any of these is a
        group of its own.
        """
        shared = {name: labels[name] for name in self._by if labels.get(name)}
        node = self.node(labels, target)
        if not shared and node in self._joined:
            shared = {"system": self._joined[node]}
        if not shared:
            shared = {"target": target} if target is not None else {"series": series}
        return Group(shared)

    def node(self, labels: Mapping[str, str], target: str | None) -> str | None:
        """Where in the topology a series is."""
        return labels.get(self._node) or target

    def upstream(self, node: str) -> set[str]:
        """All that `node` depends on, directly or not."""
        found: set[str] = set()
        ahead = list(self._depends_on.get(node, ()))
        while ahead:
            each = ahead.pop()
            if each not in found:
                found.add(each)
                ahead += self._depends_on.get(each, ())
        return found - {node}


def _components(depends_on: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Of each node the name of what it is connected with: that of the first of these nodes."""
    names: dict[str, str] = {}
    for node, upstream in depends_on.items():
        joined = {names.get(each, each) for each in (node, *upstream)}
        name = min(joined)
        names |= dict.fromkeys((node, *upstream), name)
        names = {each: name if known in joined else known for each, known in names.items()}
    return names


class Routes:
    """Finds who is told of an alert."""

    def __init__(self, config: AlertConfig) -> None:
        self._routes = [(parse_matchers(route.matchers), route.receivers) for route in config.routes]

    def of(self, alert: Alert) -> tuple[str, ...]:
        """Names of receivers, by the first route that fits; the topic alone where none does."""
        if not self._routes:
            return (TOPIC,)
        labels = labels_of(alert)
        return next((names for matchers, names in self._routes if matches(matchers, labels)), (TOPIC,))
