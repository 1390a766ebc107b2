"""A fixed stream of metrics and events with everything in it that the pipeline acts on."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from schemas import Deployment, encode
from tests.integration.harness import payload, sample

TICK_MS = 10_000
PODS = 10

# A webhook's worth of configuration: load with a ramp, a release that goes bad, alarms often enough to count.
TOML = """
[detector]
alarms_per_series_day = 4.0

[alerts]
resolve_after_s = 120

[actuators.hook]
kind = "webhook"
params = {{ url = "{url}", timeout_s = 5.0, backoff_base_s = 0.05 }}

[[targets]]
name = "shop"
labels = {{ service = "shop" }}
actuator = "hook"
load = "rps"
interval_s = 10
command_ttl_s = 100000000
scale = {{ capacity = 10.0, startup_s = 60.0, max = 60 }}

[targets.release]
only_listed = true

[[targets.release.metrics]]
name = "errors"
kind = "gauge"
tolerance = 0.5
margin = 1.0
"""


@dataclass(frozen=True)
class Entry:
    """One record to produce; `topic` without prefix."""

    topic: str
    key: str
    value: bytes


def ticks(start_ms: int, count: int, seed: int = 5) -> Iterator[list[Entry]]:
    """The records of each of `count` ticks from `start_ms` (Unix ms) on; equal arguments, equal records."""
    rng = np.random.default_rng(seed)
    release = int(0.6 * count)
    spikes = {(int(rng.integers(count // 3, count)), int(pod)) for pod in rng.integers(0, PODS, 12)}
    for tick in range(count):
        ts = start_ms + tick * TICK_MS
        load = (60 + 120 * tick / count + 30 * np.sin(tick / 25)) * (1 + 0.04 * rng.standard_normal())
        errors = 0.01 + 0.002 * rng.random() + (0.2 if tick > release else 0.0)
        shop = [
            sample("rps", ts, round(float(load), 3), service="shop"),
            sample("errors", ts, round(float(errors), 6), service="shop"),
        ]
        entries = [Entry("metrics", "shop", payload(*shop))]
        for pod in range(PODS):
            value = 50 + pod + rng.standard_normal() + (40 if (tick, pod) in spikes else 0)
            entries.append(
                Entry(
                    "metrics", f"pod-{pod}", payload(sample("cpu", ts, round(float(value), 4), pod=str(pod)))
                )
            )
        if tick % 50 == 25:
            entries.append(Entry("metrics", "broken", b'{"metric":"cpu","value":"%d' % tick))
        if tick == release:
            entries.append(
                Entry("events", "shop", encode(Deployment(target="shop", release="v2", ts=ts, previous="v1")))
            )
        yield entries
