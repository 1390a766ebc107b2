"""Plans for large clusters: how long they take, and what they save against cutting all in proportion.

`python -m bench.optimiser [--json FILE]` makes clusters of 100, 1000 and 3000 targets from a fixed seed:
loads from a log-normal distribution, three sizes of replicas, penalties from 2 to 30, one priority or three.
They get 90, 70 and 40 % of the CPU, memory and money that they would take if each were alone. Time is CPU
time, so that other work on the machine does not count.
"""

import argparse
import json
import time
from pathlib import Path

import msgspec
import numpy as np

from planners.optimiser import ClusterLimits, Demand, cost_of, optimise, proportional


def cluster(targets: int, priorities: int, seed: int = 1) -> list[Demand]:
    """Demands of all sizes."""
    rng = np.random.default_rng(seed)
    demands = []
    for number in range(targets):
        middle, spread = float(rng.lognormal(2.0, 1.0)), float(rng.uniform(0.05, 0.5))
        demands.append(
            Demand(
                target=f"t{number}",
                levels=(0.5, 0.9, 0.99),
                quantiles=(middle, middle * (1 + spread), middle * (1 + 2 * spread)),
                price=float(rng.uniform(0.5, 2.0)),
                penalty=float(rng.uniform(2.0, 30.0)),
                priority=int(rng.integers(0, priorities)),
                uses={
                    "cpu": float(rng.choice([0.5, 1.0, 2.0, 4.0])),
                    "memory": float(rng.choice([1.0, 2.0, 8.0])),
                },
            )
        )
    return demands


def limits_for(demands: list[Demand], share: float) -> tuple[ClusterLimits, list[int]]:
    """A share of what all would take alone, and what that is."""
    alone = [each.replicas for each in optimise(demands, ClusterLimits()).allocations]

    def total(name: str) -> float:
        return sum(each.uses[name] * count for each, count in zip(demands, alone, strict=True))

    spend = sum(each.price * count for each, count in zip(demands, alone, strict=True))
    capacity = {name: share * total(name) for name in ("cpu", "memory")}
    return ClusterLimits(capacity=capacity, budget=share * spend), alone


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    figures = []
    columns = ("targets", "priorities", "share", "CPU s", "cost", "proportional", "saved")
    print("".join(f"{column:>14}" for column in columns))
    for targets in (100, 1_000, 3_000):
        for priorities in (1, 3):
            demands = cluster(targets, priorities)
            for share in (0.9, 0.7, 0.4):
                limits, alone = limits_for(demands, share)
                began = time.process_time()
                plan = optimise(demands, limits)
                took = time.process_time() - began
                ours = cost_of(demands, plan.counts())
                cut = cost_of(demands, proportional(demands, limits, alone))
                row = (targets, priorities, share, round(took, 2), round(ours), round(cut), 1 - ours / cut)
                figures.append(dict(zip(columns, row, strict=True)) | {"binding": plan.binding})
                cells = (f"{cell:>14.3g}" if isinstance(cell, float) else f"{cell:>14}" for cell in row)
                print("".join(cells), flush=True)
    if options.json:
        options.json.write_bytes(msgspec.json.format(json.dumps(figures).encode(), indent=2) + b"\n")


if __name__ == "__main__":
    main()
