"""Memory of a worker that holds a million series: all state and indexes, resident size divided by series.

`tidegate bench memory [--quick] [--json FILE]`. The process as a whole counts: interpreter, libraries,
compiled kernels. Beside it: what the model's rows alone take, and a worker that holds a thousand series.
"""

from dataclasses import dataclass
from typing import Any

from bench.lab import Machine
from bench.load import Load
from bench.runs import filled, run
from detectors.registry import make_bank
from streams.config import DetectorConfig
from tests.kafka.broker import running

FEW = 1000
KIB = 1024


@dataclass(frozen=True)
class Size:
    """How much is measured: `series` with `steps` samples each; `few_steps` where there are a thousand."""

    series: int = 1_000_000
    steps: int = 6
    few_steps: int = 1000


QUICK = Size(series=200_000)


def measure(size: Size) -> dict[str, Any]:
    """Memory figures.

    Raises:
        BenchError: the worker failed.
        KafkaUnavailableError: no Apache Kafka can be had here.
    """
    machine = Machine.now()
    with running() as address:
        few = Load(FEW)
        base = run(filled(address, few, size.few_steps), few, size.few_steps)
        many = Load(size.series)
        held = run(filled(address, many, size.steps), many, size.steps)
    default = DetectorConfig()
    bank = make_bank(default.model, default.params, alarms_per_series_day=default.alarms_per_series_day)
    return {
        "series": held.series,
        "bytes_per_series": round(held.resident_mib * KIB * KIB / held.series),
        "peak_bytes_per_series": round(held.peak_mib * KIB * KIB / held.series),
        "model_bytes_per_series": bank.row_bytes,
        "resident_mib": held.resident_mib,
        "resident_mib_with_1000_series": base.resident_mib,
        "machine": machine.after(),
    }
