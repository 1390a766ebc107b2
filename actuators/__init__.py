"""Hands on the world: one file per platform behind one small port, and the ledger."""

from actuators.dry_run import DryRun, describe
from actuators.errors import (
    ActuationError,
    ConfigurationError,
    LedgerUnavailable,
    NotSupported,
    Refused,
    Unauthorised,
    Unavailable,
    UnknownTarget,
)
from actuators.execute import ExecutionPolicy, execute
from actuators.ledger import Claim, Ledger, Pause
from actuators.port import Actuator, Applied
from actuators.redis_ledger import RedisLedger
from actuators.registry import known_actuators, make_actuator

__all__ = [
    "ActuationError",
    "Actuator",
    "Applied",
    "Claim",
    "ConfigurationError",
    "DryRun",
    "ExecutionPolicy",
    "Ledger",
    "LedgerUnavailable",
    "NotSupported",
    "Pause",
    "RedisLedger",
    "Refused",
    "Unauthorised",
    "Unavailable",
    "UnknownTarget",
    "describe",
    "execute",
    "known_actuators",
    "make_actuator",
]
