"""What is free on every node now, and where a job fits."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planners.placement.values import GPU, Job, Node, largest, share


class Room:
    """Free CPU, memory and GPU parts of each node, in arrays over nodes."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = list(nodes)
        devices = max((node.gpus for node in nodes), default=0)
        self.cpu = np.array([node.cpu_milli for node in nodes], dtype=np.int64)
        self.memory = np.array([node.memory_mib for node in nodes], dtype=np.int64)
        self.gpu = np.zeros((len(nodes), max(devices, 1)), dtype=np.int64)
        for number, node in enumerate(nodes):
            self.gpu[number, : node.gpus] = GPU
        self._cpu_all, self._memory_all = np.maximum(self.cpu, 1), np.maximum(self.memory, 1)
        self._gpu_all = self.gpu.sum(axis=1)
        self._models = np.array([node.gpu_model for node in nodes])
        self._price = np.array([np.nan if node.price is None else node.price for node in nodes])
        self._power = np.array([node.power_kw for node in nodes])
        self._largest = largest(nodes)

    def fits(self, job: Job) -> NDArray[np.bool_]:
        """Which nodes have room for `job` now."""
        fitting: NDArray[np.bool_] = (self.cpu >= job.cpu_milli) & (self.memory >= job.memory_mib)
        if job.gpus:
            fitting &= (self.gpu >= job.gpu_milli).sum(axis=1) >= job.gpus
            if job.gpu_models:
                fitting &= np.isin(self._models, list(job.gpu_models))
        return fitting

    def rates(self, job: Job) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What `job` costs an hour on each node at a price factor of 1, and the kilowatts it draws there."""
        part = self._shares(job)
        return np.where(
            np.isnan(self._price), share(job, self._largest), self._price * part
        ), self._power * part

    def _shares(self, job: Job) -> NDArray[np.float64]:
        """The part of each node that `job` takes: the largest over its resources."""
        part: NDArray[np.float64] = np.maximum(
            job.cpu_milli / self._cpu_all, job.memory_mib / self._memory_all
        )
        if job.gpus:
            part = np.maximum(part, job.gpus * job.gpu_milli / np.maximum(self._gpu_all, 1))
        return part

    def snugness(self, job: Job) -> NDArray[np.float64]:
        """What `job` would leave free on each node, as a share of it; a GPU left idle counts most.

        Best fit (Coffman, Garey and Johnson 1996) keeps large holes for large jobs.
        """
        left: NDArray[np.float64] = (self.cpu - job.cpu_milli) / self._cpu_all + (
            self.memory - job.memory_mib
        ) / self._memory_all
        free = self.gpu.sum(axis=1) - job.gpus * job.gpu_milli
        left += 4.0 * free / GPU
        return left

    def take(self, number: int, job: Job) -> tuple[int, ...]:
        """Take the room for `job` on node `number`; the devices that it gets, the snuggest first."""
        self.cpu[number] -= job.cpu_milli
        self.memory[number] -= job.memory_mib
        if not job.gpus:
            return ()
        free = self.gpu[number]
        able = np.flatnonzero(free >= job.gpu_milli)
        chosen = sorted(able[np.argsort(free[able], kind="stable")][: job.gpus].tolist())
        self.gpu[number, chosen] -= job.gpu_milli
        return tuple(chosen)

    def give_back(self, number: int, job: Job, devices: Sequence[int]) -> None:
        """Free what `job` had on node `number`."""
        self.cpu[number] += job.cpu_milli
        self.memory[number] += job.memory_mib
        for device in devices:
            self.gpu[number, device] += job.gpu_milli
