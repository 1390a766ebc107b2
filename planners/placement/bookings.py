"""What is promised of the cluster for the hours to come, so that not all wait for the same cheap one."""

import numpy as np
from numpy.typing import NDArray

from planners.placement.values import Job

HOUR_S = 3_600.0
FULL = 0.5  # what has not arrived yet wants room too: more than this is not promised
ROOM = 24 * 14  # hours first held


class Bookings:
    """Parts of the cluster's CPU, memory and GPUs in use or promised, per hour from the first arrival on."""

    def __init__(self, start_s: float, total: NDArray[np.float64]) -> None:
        self._start = start_s
        self._total = np.maximum(total, 1.0)
        self._booked = np.zeros((ROOM, 3))

    def add(self, job: Job, at_s: float, sign: int = 1) -> None:
        """Book `job` from `at_s` on, or with -1 take the booking back."""
        first, last = self._hours(at_s, job.duration_s)
        self._booked[first:last] += sign * self.part(job)

    def part(self, job: Job) -> NDArray[np.float64]:
        """What `job` takes of the cluster, per resource."""
        wanted = np.array([job.cpu_milli, job.memory_mib, job.gpus * job.gpu_milli], dtype=np.float64)
        part: NDArray[np.float64] = wanted / self._total
        return part

    def has_room(self, job: Job, at_s: float) -> bool:
        """Whether what is promised leaves room for `job` from `at_s` on."""
        first, last = self._hours(at_s, job.duration_s)
        part, booked = self.part(job), self._booked[first:last]
        free = booked <= 1e-9  # one that takes more than the share by itself may still wait for a free hour
        return bool(((booked + part <= FULL) | free | (part == 0.0)).all())

    def _hours(self, at_s: float, duration_s: float) -> tuple[int, int]:
        first = int((at_s - self._start) // HOUR_S)
        last = int(-((self._start - at_s - duration_s) // HOUR_S))
        if last > len(self._booked):
            self._booked = np.pad(self._booked, ((0, last - len(self._booked) + ROOM), (0, 0)))
        return first, last
