"""Which target a series belongs to, and what for."""

from collections.abc import Mapping, Sequence

from schemas.signal import Arm
from streams.config import TargetConfig

LOAD, REPLICAS, BACKLOG, SATURATION = "load", "replicas", "backlog", "saturation"
ARM_LABEL = "arm"


def scaling_metrics(target: TargetConfig) -> dict[str, str]:
    """The role of each metric that a target is scaled on: of a further load, `load:` and its name."""
    named = {
        target.load: LOAD,
        target.replicas: REPLICAS,
        target.backlog: BACKLOG,
        target.saturation: SATURATION,
    }
    further = {load.metric: f"{LOAD}:{name}" for name, load in target.loads.items()}
    return {metric: role for metric, role in named.items() if metric is not None} | further


def scales_on(role: str) -> bool:
    """Whether a target is scaled on samples of a role."""
    return role in (LOAD, REPLICAS, BACKLOG, SATURATION) or role.startswith(f"{LOAD}:")


class Roles:
    """Finds the target and the role of a series from its metric and labels.

    A series belongs to the first target all of whose labels it carries. Its role is `load`, `load:NAME` of
    a further load, `replicas`, `backlog`, `saturation`, or the name of a release metric, where the
    target's configuration names its metric.
    """

    def __init__(self, targets: Sequence[TargetConfig]) -> None:
        self._targets = list(targets)
        self._roles: list[str] = []
        self._by_metric: list[dict[str, int]] = [self._metrics_of(target) for target in self._targets]

    def __bool__(self) -> bool:
        return bool(self._targets)

    def _metrics_of(self, target: TargetConfig) -> dict[str, int]:
        used: dict[str, str] = {}
        if target.release is not None:
            used |= {metric.name: metric.name for metric in target.release.metrics}
            used |= {metric.total: metric.total for metric in target.release.metrics if metric.total}
        used |= scaling_metrics(target)
        return {metric: self._role_number(role) for metric, role in used.items()}

    def _role_number(self, role: str) -> int:
        if role not in self._roles:
            self._roles.append(role)
        return self._roles.index(role)

    def of(self, metric: str, labels: Mapping[str, str]) -> tuple[int, int]:
        """Numbers of the series' target and role; -1 where it has none."""
        for number, target in enumerate(self._targets):
            if target.labels.items() <= labels.items():
                return number, self._by_metric[number].get(metric, -1)
        return -1, -1

    def name(self, target: int) -> str | None:
        """Name of the target with that number, None for -1."""
        return self._targets[target].name if target >= 0 else None

    def role(self, role: int) -> str:
        """Name of the role with that number."""
        return self._roles[role]

    def arm(self, labels: Mapping[str, str]) -> Arm | None:
        """Control or canary where the series says so in its `arm` label."""
        match labels.get(ARM_LABEL):
            case "control":
                return "control"
            case "canary":
                return "canary"
            case _:
                return None
