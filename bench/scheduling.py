"""Scheduling beside first come, first served: weighted tardiness and cost on generated and recorded jobs.

`python -m bench.scheduling [--json FILE]` makes clusters and job streams from fixed seeds, and takes the
requests, times and durations of the recorded jobs in ../shared/data/jobs (or TIDEGATE_DATA) where they are,
on a fortieth of their nodes. All rules run on the same jobs, and every plan is checked before it is scored.
"""

import argparse
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from planners.placement import Curve, Job, Node, known_rules, make_rule, schedule, score, violations
from streams.jobs_csv import read_jobs, read_nodes

SHARED = Path(os.environ.get("TIDEGATE_DATA", Path(__file__).parents[2] / "shared"))
HOUR_S = 3_600.0


class Scenario(NamedTuple):
    """Jobs for nodes at prices."""

    jobs: list[Job]
    nodes: list[Node]
    curve: Curve


def days(cheap_from: int = 0, cheap_until: int = 7, cheap: float = 0.5) -> Curve:
    """Prices by the hour of the day: cheap at night, a half more in the evening; and carbon likewise."""
    hours = np.arange(24)
    price = np.where((hours >= cheap_from) & (hours < cheap_until), cheap, 1.0)
    price[17:21] = 1.5
    return Curve((hours * HOUR_S).tolist(), price.tolist(), (300.0 * price).tolist(), 60.0)


def generated(seed: int, load: float, jobs: int = 600, deferrable: float = 0.4) -> Scenario:
    """A mixed cluster of 16 nodes under `load` (of its scarcest resource) with training and batch jobs."""
    rng = np.random.default_rng(seed)
    nodes = [
        Node(name=f"cpu-{n}", cpu_milli=64_000, memory_mib=262_144, price=1.0, power_kw=0.4) for n in range(8)
    ] + [
        Node(
            name=f"gpu-{n}", cpu_milli=96_000, memory_mib=393_216, gpus=8, gpu_model="A" if n % 2 else "B",
            price=12.0 + 4.0 * (n % 2), power_kw=3.0,
        )
        for n in range(8)
    ]  # fmt: skip
    made = []
    for number in range(jobs):
        gpus = int(rng.choice([0, 0, 1, 1, 2, 4, 8]))
        duration = float(np.clip(rng.lognormal(8.3, 1.1), 300, 36 * HOUR_S) // 1)
        made.append(
            Job(
                name=f"job-{number}",
                cpu_milli=int(rng.integers(1, 13)) * 1_000 * max(gpus, 1),
                memory_mib=int(rng.integers(4, 40)) * 1_024 * max(gpus, 1),
                gpus=gpus,
                gpu_milli=int(rng.choice([250, 500, 1_000])) if gpus == 1 else 1_000,
                gpu_models=frozenset("A") if gpus and rng.random() < 0.2 else frozenset(),
                arrival_s=0.0,
                duration_s=duration,
                priority=float(rng.choice([1.0, 2.0, 5.0, 10.0], p=[0.5, 0.25, 0.15, 0.1])),
                deferrable=bool(rng.random() < deferrable),
            )
        )
    total = sum(node.gpus for node in nodes)
    span = sum(job.duration_s * job.gpus * job.gpu_milli / 1_000 for job in made) / total / load
    arrivals = np.sort(rng.uniform(0.0, span, jobs)) // 1
    dated = []
    for job, arrival in zip(made, arrivals.tolist(), strict=True):
        room = rng.uniform(10.0, 30.0) * HOUR_S if job.deferrable else rng.uniform(0.5, 3.0) * job.duration_s
        deadline = arrival + job.duration_s + room
        dated.append(msgspec.structs.replace(job, arrival_s=arrival, deadline_s=deadline))
    return Scenario(dated, nodes, days())


def recorded() -> Scenario | None:
    """The recorded jobs on every fortieth of their nodes; none of them has a deadline or may wait."""
    folder = SHARED / "data" / "jobs"
    if not folder.is_dir():
        return None
    nodes = read_nodes(folder / "openb_node_list_all_node.csv")[::40]
    jobs = read_jobs(folder / "openb_pod_list_default.csv").jobs
    return Scenario(jobs, nodes, days())


def scenarios() -> Mapping[str, Scenario]:
    """All of them, by name."""
    made = {
        "half loaded": generated(1, 0.5),
        "loaded": generated(2, 0.8),
        "overloaded": generated(3, 1.1),
        "nothing can wait": generated(4, 0.8, deferrable=0.0),
    }
    real = recorded()
    return made | ({"recorded, 1/40 of the nodes": real} if real else {})


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    figures = []
    heads = zip(
        ("tardiness", "late", "cost", "wait h", "makespan h", "s"), (12, 7, 10, 9, 12, 8), strict=True
    )
    print(f"{'scenario':<30}{'rule':<10}" + "".join(f"{head:>{width}}" for head, width in heads))
    for name, (jobs, nodes, curve) in scenarios().items():
        by_name, nodes_by_name = {job.name: job for job in jobs}, {node.name: node for node in nodes}
        for rule in known_rules():
            began = time.perf_counter()
            plan = schedule(jobs, nodes, curve, make_rule(rule))
            took = time.perf_counter() - began
            assert violations(by_name, nodes_by_name, plan.placements) == []
            found = score(by_name, nodes_by_name, plan.placements, curve)
            figures.append({"scenario": name, "rule": rule, "seconds": took} | msgspec.structs.asdict(found))
            print(
                f"{name:<30}{rule:<10}{found.weighted_tardiness:>12.1f}{found.late:>7}{found.cost:>10.1f}"
                f"{found.wait_h:>9.2f}{found.makespan_h:>12.1f}{took:>8.2f}",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
