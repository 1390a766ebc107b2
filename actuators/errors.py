"""One tree of errors, each named for what the caller can do about it."""

# ruff: noqa: N818 - the names say what happened, as httpx's do; the base carries the suffix


class ActuationError(Exception):
    """The base. `attempts` counts the calls that reached for the platform."""

    def __init__(self, message: str, *, attempts: int = 0) -> None:
        super().__init__(message)
        self.attempts = attempts


class Refused(ActuationError):
    """The platform, or the actuator for it, says no for good: mend the command, the rights or the quota."""


class UnknownTarget(Refused):
    """Nothing of this name is there: mend the target's name or the actuator's configuration."""


class NotSupported(Refused):
    """This actuator cannot do this kind of thing: route the command to another actuator."""


class Unavailable(ActuationError):
    """The platform did not answer and the retries are used up; it may have acted. Later it may succeed."""


class Unauthorised(ActuationError):
    """The command is unsigned, altered, or signed by a key that may not: find out who sent it."""


class LedgerUnavailable(ActuationError):
    """The ledger cannot be asked now. Nothing may act: wait and ask again."""


class ConfigurationError(ActuationError):
    """The actuator cannot be built as configured: mend the configuration file or the environment."""
