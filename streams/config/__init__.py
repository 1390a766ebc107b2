"""One TOML file configures everything: its keys, and how it is read."""

from streams.config.alerts import AlertConfig, AlertRule, IncidentConfig, ReceiverConfig, Route
from streams.config.keys import (
    ActuatorConfig,
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
    "AlertRule",
    "Config",
    "ConfigError",
    "DetectorConfig",
    "IncidentConfig",
    "IngestConfig",
    "KafkaConfig",
    "LedgerConfig",
    "ReceiverConfig",
    "Route",
    "StateConfig",
    "TargetConfig",
    "TelemetryConfig",
    "parse",
    "read",
]
