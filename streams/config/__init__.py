"""One TOML file configures everything: its keys, and how it is read."""

from streams.config.keys import (
    ActuatorConfig,
    AlertConfig,
    Config,
    DetectorConfig,
    IngestConfig,
    KafkaConfig,
    LedgerConfig,
    StateConfig,
    TargetConfig,
    TelemetryConfig,
)
from streams.config.read import ConfigError, parse, read

__all__ = [
    "ActuatorConfig",
    "AlertConfig",
    "Config",
    "ConfigError",
    "DetectorConfig",
    "IngestConfig",
    "KafkaConfig",
    "LedgerConfig",
    "StateConfig",
    "TargetConfig",
    "TelemetryConfig",
    "parse",
    "read",
]
