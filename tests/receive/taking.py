"""A tenant without Kafka: what its samples become, as Kafka would get them."""

import json
from typing import Any

from streams.config.receive import ReceiveConfig, TenantConfig
from streams.receive.draft import Draft
from streams.receive.intake import partition_of
from streams.receive.tenant import Tenant

PARTITIONS = 4


def tenant(config: TenantConfig | None = None, **keys: Any) -> Tenant:
    return Tenant(
        ReceiveConfig(**keys),
        config,
        name="t",
        partition_of=lambda key: partition_of(key, PARTITIONS),
        monotonic=lambda: 0.0,
    )


def draft() -> Draft:
    return Draft(PARTITIONS)


def written(*drafts: Draft) -> list[dict[str, Any]]:
    """The samples in the drafts' records, by time and then by name."""
    samples = [sample for each in drafts for _, value in each.records() for sample in json.loads(value)]
    return sorted(samples, key=lambda each: (each["ts"], each["metric"], json.dumps(each["labels"])))


def values(*drafts: Draft) -> dict[str, list[float]]:
    """The values written, by metric and the quantile where there is one."""
    found: dict[str, list[float]] = {}
    for sample in written(*drafts):
        quantile = sample["labels"].get("quantile")
        found.setdefault(f"{sample['metric']}{f' {quantile}' if quantile else ''}", []).append(
            sample["value"]
        )
    return found
