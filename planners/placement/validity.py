"""Whether placements can be carried out, checked without knowing how they were made."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from planners.placement.values import GPU, Job, Node, Placement


def violations(
    jobs: Mapping[str, Job], nodes: Mapping[str, Node], placements: Sequence[Placement]
) -> list[str]:
    """Everything that is wrong with `placements`, in words; empty where they hold at every moment.

    A job ends before another starts at the same time. Checked are: known names, no job twice, no start
    before arrival, the whole duration, allowed devices, and CPU, memory and each GPU of each node over time.
    """
    wrong, seen = [], set()
    changes: defaultdict[str, list[tuple[float, int, Placement]]] = defaultdict(list)
    for each in placements:
        if each.job not in jobs or each.node not in nodes:
            wrong.append(f"{each.job} on {each.node}: not a known job and node")
            continue
        wrong += _alone(jobs[each.job], nodes[each.node], each, each.job in seen)
        seen.add(each.job)
        changes[each.node] += [(each.start_s, 1, each), (each.end_s, -1, each)]
    for name, moments in changes.items():
        wrong += _over_time(nodes[name], jobs, sorted(moments, key=lambda moment: moment[:2]))
    return wrong


def _alone(job: Job, node: Node, each: Placement, again: bool) -> list[str]:
    wrong = []
    if again:
        wrong.append(f"{job.name}: placed twice")
    if each.start_s < job.arrival_s:
        wrong.append(f"{job.name}: starts before it arrives")
    if abs(each.end_s - each.start_s - job.duration_s) > 1e-6 * max(abs(each.end_s), 1.0):
        wrong.append(f"{job.name}: runs for {each.end_s - each.start_s:g} s, expected {job.duration_s:g}")
    devices = set(each.gpus)
    if len(devices) != job.gpus or len(each.gpus) != job.gpus or not devices <= set(range(node.gpus)):
        wrong.append(f"{job.name}: devices {each.gpus} of {node.name}, expected {job.gpus} of {node.gpus}")
    if job.gpus and job.gpu_models and node.gpu_model not in job.gpu_models:
        wrong.append(f"{job.name}: needs a GPU among {sorted(job.gpu_models)}, {node.name} has others")
    return wrong


def _over_time(
    node: Node, jobs: Mapping[str, Job], moments: Sequence[tuple[float, int, Placement]]
) -> list[str]:
    cpu = memory = 0
    gpu: defaultdict[int, int] = defaultdict(int)
    for at, sign, each in moments:
        job = jobs[each.job]
        cpu += sign * job.cpu_milli
        memory += sign * job.memory_mib
        for device in each.gpus:
            gpu[device] += sign * job.gpu_milli
        if cpu > node.cpu_milli or memory > node.memory_mib or max(gpu.values(), default=0) > GPU:
            return [f"{node.name}: over capacity at {at:g} s: {cpu} m CPU, {memory} MiB, GPUs {dict(gpu)}"]
    return []
