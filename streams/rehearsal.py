"""Compiles the kernels before the first sample comes, by running samples of its own through the stages."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from schemas import Sample
from streams.config import TargetConfig
from streams.ingest.record_set import RawRecord, RecordSet, read_batches
from streams.output import Output
from streams.partition import Partition
from streams.record import Record

log = logging.getLogger(__name__)

POLLS, TICKS = 2, 40
"""Batches, and samples of each series in one: by then every model has given verdicts and forecasts."""

NOTABLE_S = 1.0
_START_MS, _STEP_MS = 1_700_000_000_000, 60_000


def rehearse(targets: Sequence[TargetConfig], detect: Partition | None, plan: Partition | None) -> None:
    """Run samples of the targets through partitions that are thrown away afterwards.

    Numba compiles a kernel when it is first called. For all of them this takes half a minute, once after an
    installation; afterwards they are read from disk. It should not happen while the first samples wait.
    """
    began = time.monotonic()
    step_ms = max([_STEP_MS, *(int(target.interval_s * 1000) for target in targets)])
    signals: list[Output] = []
    now_ms = _START_MS
    for poll in range(POLLS):  # the second finds series that are known
        samples = _samples(targets, range(poll * TICKS, (poll + 1) * TICKS), step_ms)
        now_ms = _START_MS + (poll + 1) * TICKS * step_ms
        if detect is not None:
            outputs = detect.process(cast(Sequence[Record], _as_fetched(samples, poll)), now_ms)
            signals += [each for each in outputs if each.topic == "signals"]
            detect.snapshot()
    if plan is not None:
        records = [
            RawRecord("signals", 0, at, now_ms, signal.key, signal.value, ())
            for at, signal in enumerate(signals)
        ]
        plan.process(cast(Sequence[Record], records), now_ms)
    if (took := time.monotonic() - began) > NOTABLE_S:
        log.info("compiled the models in %.0f s; the next start finds them on disk", took)


def _samples(targets: Sequence[TargetConfig], ticks: range, step_ms: int) -> list[Sample]:
    series: list[tuple[str, Mapping[str, str]]] = [("rehearsal", {})]
    series += [(each.load, each.labels) for each in targets if each.load is not None]
    return [
        Sample(metric=metric, labels=dict(labels), ts=_START_MS + tick * step_ms, value=2.0 + math.sin(tick))
        for tick in ticks
        for metric, labels in series
    ]


def _as_fetched(samples: Sequence[Sample], poll: int) -> RecordSet:
    """The samples as a fetch from Kafka brings them."""
    first = poll * len(samples)
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 30)
    for at, sample in enumerate(samples):
        builder.append(at, _START_MS, None, msgspec.json.encode(sample), [])
    batch = bytearray(builder.build())
    batch[:8] = first.to_bytes(8, "big")  # where the batch begins is no part of its checksum
    return read_batches("metrics", 0, bytes(batch), first, check_crcs=True).records
