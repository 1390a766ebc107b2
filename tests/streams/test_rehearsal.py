"""After the rehearsal nothing is left to be compiled, or read from disk, when real samples come."""

import subprocess
import sys

PROGRAM = """
import sys

from numba.core.dispatcher import Dispatcher

from streams.app import detector
from streams.config import Config, TargetConfig
from streams.planning import PlanPartition
from streams.rehearsal import rehearse
from streams.scaling import ScaleConfig
from tests.streams.records import FakeRecord, MINUTE, START, sample

target = TargetConfig(name="shop", labels={"app": "shop"}, load="requests", scale=ScaleConfig())
config = Config(targets=(target,))


def compiled():
    modules = [m for name, m in sorted(sys.modules.items()) if name.startswith(("streams.", "detectors."))]
    kernels = {id(k): k for module in modules for k in vars(module).values() if isinstance(k, Dispatcher)}
    return sum(len(kernel.signatures) for kernel in kernels.values())


rehearse(config.targets, detector(config, None)(0), PlanPartition(0, {"shop": target}))
before = compiled()
partition, plan = detector(config, None)(0), PlanPartition(0, {"shop": target})
for minute in range(300):
    now = START + minute * MINUTE
    outputs = partition.process([sample(minute, now, 10.0 + minute % 7, "requests", app="shop")], now)
    plan.process([FakeRecord(o.value, minute, "signals") for o in outputs if o.topic == "signals"], now)
print(before, compiled())
"""


def test_a_rehearsal_leaves_nothing_to_compile() -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True)
    before, after = map(int, run.stdout.split())
    assert 0 < before == after
