"""Jobs, nodes, and who runs where and when. Resources are integers, so that no sum of them is inexact."""

from collections.abc import Iterable

import msgspec

GPU = 1_000
"""A whole GPU, in thousandths."""


class PlacementError(ValueError):
    """A job or a node cannot be planned with; the text names it and what was expected."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Something to run once, for `duration_s`, on one node, without a break.

    `cpu_milli` is in thousandths of a core, `memory_mib` in MiB. `gpus` devices are needed, of each
    `gpu_milli` thousandths (a part only where one device is needed), of one of `gpu_models` (empty: any).
    `arrival_s` is when it becomes known and may start, `deadline_s` when it should be done (Unix s; None:
    as soon as possible). An hour late costs `priority`. A `deferrable` job may wait for a cheaper hour as
    long as it meets its deadline.
    """

    name: str
    cpu_milli: int
    memory_mib: int
    arrival_s: float
    duration_s: float
    gpus: int = 0
    gpu_milli: int = GPU
    gpu_models: frozenset[str] = frozenset()
    deadline_s: float | None = None
    priority: float = 1.0
    deferrable: bool = False

    def __post_init__(self) -> None:
        if not 0.0 < self.duration_s < float("inf"):
            raise PlacementError(
                f"job {self.name}: duration is {self.duration_s}, expected a positive number"
            )
        if min(self.cpu_milli, self.memory_mib, self.gpus) < 0:
            raise PlacementError(f"job {self.name}: a negative resource; expected zero or more")
        if not 0.0 <= self.priority < float("inf"):
            raise PlacementError(f"job {self.name}: priority is {self.priority}, expected zero or more")
        if self.gpus and not 0 < self.gpu_milli <= GPU:
            raise PlacementError(f"job {self.name}: gpu_milli is {self.gpu_milli}, expected 1 to {GPU}")
        if self.gpus > 1 and self.gpu_milli != GPU:
            raise PlacementError(f"job {self.name}: {self.gpus} GPUs in part; only one can be shared")

    @property
    def due_s(self) -> float:
        """The deadline; without one, the earliest possible end."""
        return self.arrival_s + self.duration_s if self.deadline_s is None else self.deadline_s


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A machine with `gpus` devices of `gpu_model`; in use it costs `price` an hour and draws `power_kw`.

    Without a price, what runs on it is paid by its own size, the same on every such node.
    """

    name: str
    cpu_milli: int
    memory_mib: int
    gpus: int = 0
    gpu_model: str = ""
    price: float | None = None
    power_kw: float = 0.0

    def __post_init__(self) -> None:
        if min(self.cpu_milli, self.memory_mib, self.gpus) < 0 or min(self.price or 0.0, self.power_kw) < 0.0:
            raise PlacementError(f"node {self.name}: a negative resource or price; expected zero or more")


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """`job` runs on devices `gpus` of `node` from `start_s` to `end_s` (Unix s)."""

    job: str
    node: str
    start_s: float
    end_s: float
    gpus: tuple[int, ...] = ()


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """`job` cannot run, and why."""

    job: str
    reason: str


def largest(nodes: Iterable[Node]) -> Node:
    """A node with the most of every resource among `nodes`: what sizes are measured by without prices."""
    known = list(nodes)
    return Node(
        name="largest",
        cpu_milli=max((node.cpu_milli for node in known), default=0),
        memory_mib=max((node.memory_mib for node in known), default=0),
        gpus=max((node.gpus for node in known), default=0),
    )


def share(job: Job, node: Node) -> float:
    """The part of `node` that `job` takes: the largest over its resources, in [0, 1] where it fits."""
    parts = [
        job.cpu_milli / node.cpu_milli if node.cpu_milli else 0.0,
        job.memory_mib / node.memory_mib if node.memory_mib else 0.0,
        job.gpus * job.gpu_milli / (node.gpus * GPU) if node.gpus else 0.0,
    ]
    return max(parts)
