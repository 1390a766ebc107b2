"""Who runs where and when: jobs placed in the order of time, each moment from what is known by then."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np

from planners.placement.bookings import Bookings
from planners.placement.curve import Curve
from planners.placement.room import Room
from planners.placement.rules import Rule, Waiting
from planners.placement.values import GPU, Job, Node, Placement, PlacementError, Refusal

ENDS, COMES = 0, 1  # at one moment, what ends makes room first
RESERVED_AMONG = 64  # nodes that are looked at to keep one for a job that has to wait
SPARE = 0.5  # of its duration, and
WAITS = 4.0  # times the wait of late: so much before the last moment a deferred job starts at the latest
RECENT = 0.1  # weight of the newest wait in the wait of late
WORTH = 0.01  # of the cost: less is not worth waiting for


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Placements in the order of their starts, and the jobs that cannot run at all."""

    placements: tuple[Placement, ...]
    refusals: tuple[Refusal, ...]


def schedule(jobs: Sequence[Job], nodes: Sequence[Node], curve: Curve, rule: Rule) -> Plan:
    """Place every job that some node can hold.

    Online: what is decided at a moment rests on the jobs that have arrived, on what is running with its
    duration, and on the price curve. Nothing is moved or stopped once it runs.

    Raises:
        PlacementError: two jobs or two nodes have one name, or there is no node.
    """
    for what, names in (("job", [job.name for job in jobs]), ("node", [node.name for node in nodes])):
        if len(set(names)) != len(names):
            again = next(name for name in names if names.count(name) > 1)
            raise PlacementError(f"two {what}s are named {again}; names are unique")
    if not nodes:
        raise PlacementError("there is no node to place jobs on")
    return _Run(jobs, nodes, curve, rule).finish()


@dataclass(slots=True)
class _Running:
    end_s: float
    job: int
    node: int
    devices: tuple[int, ...]


@dataclass(slots=True)
class _Kept:
    """A node kept free for a job from a moment on."""

    node: int
    from_s: float


@dataclass(slots=True)
class _Run:
    jobs: Sequence[Job]
    nodes: Sequence[Node]
    curve: Curve
    rule: Rule
    room: Room = field(init=False)
    empty: Room = field(init=False)  # the same nodes with nothing on them
    bookings: Bookings = field(init=False)
    events: list[tuple[float, int, int]] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    since: dict[int, float] = field(default_factory=dict)  # waiting job: from when on
    wait_s: float = 0.0  # of late
    held: dict[int, float] = field(default_factory=dict)  # deferred job: when it is to start
    on_node: dict[int, dict[int, _Running]] = field(default_factory=dict)
    where: dict[int, int] = field(default_factory=dict)
    placements: list[Placement] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.room, self.empty = Room(self.nodes), Room(self.nodes)
        total = np.array([self.room.cpu.sum(), self.room.memory.sum(), self.room.gpu.sum()], dtype=np.float64)
        self.bookings = Bookings(min((job.arrival_s for job in self.jobs), default=0.0), total)
        for number, job in enumerate(self.jobs):
            if self.empty.fits(job).any():
                self.events.append((job.arrival_s, COMES, number))
            else:
                self.refusals.append(Refusal(job=job.name, reason=_too_large(job)))
        heapq.heapify(self.events)

    def finish(self) -> Plan:
        """Go from event to event until there are none."""
        while self.events:
            now = self.events[0][0]
            while self.events and self.events[0][0] == now:
                _, kind, number = heapq.heappop(self.events)
                if kind == ENDS:
                    ended = self.on_node[self.where.pop(number)].pop(number)
                    self.room.give_back(ended.node, self.jobs[number], ended.devices)
                else:
                    self._come(number, now)
            self._dispatch(now)
        return Plan(placements=tuple(self.placements), refusals=tuple(self.refusals))

    # -- when ----------------------------------------------------------------------------------

    def _come(self, number: int, now: float) -> None:
        job = self.jobs[number]
        booked = self.held.pop(number, None)
        if booked is None:
            at = self._best_start(job, now) if self.rule.defer and job.deferrable else now
            if at > now:
                self.held[number] = at
                self.bookings.add(job, at)
                heapq.heappush(self.events, (at, COMES, number))
                return
        else:
            self.bookings.add(job, booked, -1)
        self.waiting.append(number)
        self.since[number] = now

    def _best_start(self, job: Job, now: float) -> float:
        """The cheapest moment that keeps the deadline and that the cluster has not promised to others."""
        latest = job.due_s - (1.0 + SPARE) * job.duration_s - WAITS * self.wait_s
        if latest <= now:
            return now
        changes = self.curve.changes(now, latest + job.duration_s)
        starts = np.unique(np.concatenate([[now, latest], changes, changes - job.duration_s]))
        starts = starts[(starts >= now) & (starts <= latest)]
        able = np.flatnonzero(self.empty.fits(job))
        price, carbon = self.curve.cost(starts, job.duration_s)
        rates, power = self.empty.rates(job)
        costs = price * float(rates[able].min()) + carbon * float(power[able].min())
        for index in np.lexsort((starts, np.round(costs / max(costs[0], 1e-12) / WORTH))):
            if starts[index] == now or self.bookings.has_room(job, float(starts[index])):
                return float(starts[index])
        return now

    # -- where ---------------------------------------------------------------------------------

    def _dispatch(self, now: float) -> None:
        """Start what fits, in the rule's order."""
        if not self.waiting:
            return
        kept: _Kept | None = None
        full: set[tuple[int, int, int, int, frozenset[str]]] = set()
        started = set()
        for position in self.rule.order(self._columns(), now).tolist():
            number = self.waiting[position]
            job = self.jobs[number]
            demand = (job.cpu_milli, job.memory_mib, job.gpus, job.gpu_milli, job.gpu_models)
            node = None if demand in full else self._node_for(job, now, kept)
            if node is not None:
                self._start(number, node, now)
                started.add(number)
                continue
            if not self.rule.overtake:
                break
            full.add(demand)
            if kept is None:
                kept = self._keep(job, now)
        self.waiting = [number for number in self.waiting if number not in started]

    def _columns(self) -> Waiting:
        jobs = [self.jobs[number] for number in self.waiting]
        return Waiting(
            arrival=np.array([job.arrival_s for job in jobs]),
            since=np.array([self.since[number] for number in self.waiting]),
            duration=np.array([job.duration_s for job in jobs]),
            due=np.array([job.due_s for job in jobs]),
            priority=np.array([job.priority for job in jobs]),
            area=np.array([max(float(self.bookings.part(j).max()), 1e-9) * j.duration_s for j in jobs]),
        )

    def _node_for(self, job: Job, now: float, kept: _Kept | None) -> int | None:
        fitting = self.room.fits(job)
        if kept is not None and now + job.duration_s > kept.from_s:
            fitting[kept.node] = False
        able = np.flatnonzero(fitting)
        if not len(able):
            return None
        if not self.rule.choose:
            return int(able[0])
        snug = self.room.snugness(job)[able]
        rates, power = self.room.rates(job)
        factor, carbon = self.curve.at(now)
        costs = rates[able] * factor + power[able] * carbon
        return int(able[np.lexsort((snug, np.round(costs, 9)))[0]])

    def _start(self, number: int, node: int, now: float) -> None:
        job = self.jobs[number]
        devices = self.room.take(node, job)
        self.wait_s += RECENT * (now - self.since.pop(number) - self.wait_s)
        end = now + job.duration_s
        self.on_node.setdefault(node, {})[number] = _Running(end, number, node, devices)
        self.where[number] = node
        self.bookings.add(job, now)
        heapq.heappush(self.events, (end, ENDS, number))
        self.placements.append(
            Placement(job=job.name, node=self.nodes[node].name, start_s=now, end_s=end, gpus=devices)
        )

    def _keep(self, job: Job, now: float) -> _Kept | None:
        """The node that is free for `job` first, by what runs there (EASY backfilling; Lifka 1995)."""
        able = np.flatnonzero(self.empty.fits(job))
        best: _Kept | None = None
        for node in able[:RESERVED_AMONG].tolist():
            at = self._free_from(job, node, now, best.from_s if best else np.inf)
            if at is not None:
                best = _Kept(node, at)
        return best

    def _free_from(self, job: Job, node: int, now: float, before: float) -> float | None:
        cpu, memory = int(self.room.cpu[node]), int(self.room.memory[node])
        gpu = self.room.gpu[node].copy()
        for running in sorted(self.on_node.get(node, {}).values(), key=lambda each: each.end_s):
            if running.end_s >= before:
                return None
            ended = self.jobs[running.job]
            cpu, memory = cpu + ended.cpu_milli, memory + ended.memory_mib
            gpu[list(running.devices)] += ended.gpu_milli
            enough = cpu >= job.cpu_milli and memory >= job.memory_mib
            if enough and (not job.gpus or int((gpu >= job.gpu_milli).sum()) >= job.gpus):
                return running.end_s
        return None


def _too_large(job: Job) -> str:
    gpus = (
        f" and {job.gpus * job.gpu_milli / GPU:g} GPUs {'|'.join(sorted(job.gpu_models))}" if job.gpus else ""
    )
    return f"no node has {job.cpu_milli / 1000:g} CPUs, {job.memory_mib} MiB{gpus.rstrip()}"
