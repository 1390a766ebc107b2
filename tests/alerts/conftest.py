"""Workers of these tests: see tests/integration."""

from tests.integration.conftest import setting, worker

__all__ = ["setting", "worker"]
