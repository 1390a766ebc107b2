"""The pipeline's own new features, each behind a flag."""

from collections.abc import Callable, Mapping
from typing import Any

from streams.config import KafkaConfig

Enabled = Callable[[str, str], bool]
"""Whether a feature is on for a target: (feature, target)."""

FEATURES = {
    "hold-failing-release": True,  # a release that looks bad is not scaled up
}
"""Each feature, and whether it is on where no flag says otherwise."""


def by_default(feature: str, target: str) -> bool:
    """Every feature as it is where no flag says otherwise."""
    return FEATURES[feature]


def by_flags(kafka: KafkaConfig, connection: Mapping[str, Any]) -> tuple[Enabled, Callable[[], None]]:
    """Features by the flags `tidegate.FEATURE` on the topic, the target being the unit; and how to stop.

    Raises:
        ConfigError: the extra `flags` is not installed.
    """
    from streams.flags.provider import TidegateProvider  # noqa: PLC0415, I001 - first: it says what is missing
    from openfeature import api  # noqa: PLC0415
    from openfeature.evaluation_context import EvaluationContext  # noqa: PLC0415

    domain = f"tidegate-{kafka.group}"
    provider = TidegateProvider(topic=f"{kafka.prefix}flags", connection=connection)
    api.set_provider(provider, domain)
    client = api.get_client(domain)

    def enabled(feature: str, target: str) -> bool:
        context = EvaluationContext(targeting_key=target)
        return client.get_boolean_value(f"tidegate.{feature}", FEATURES[feature], context)

    return enabled, provider.shutdown
