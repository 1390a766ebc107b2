"""Several simulated services behind one actuator, with a quota and calls that fail: a platform as it is."""

import random
from collections.abc import Mapping

import msgspec
import numpy as np

from actuators.errors import ConfigurationError, Refused, Unavailable, UnknownTarget
from actuators.port import Applied
from actuators.simulated import ServiceConfig, SimulatedService
from schemas import Command, Scale


class ClusterConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`services` by target. `quota` is the most replicas of all services together (None: no limit).

    Of the calls, a share `failure_rate` in [0, 1) fails: half of those before acting and half after it, as
    happens when an answer is lost. `seed` fixes which, and the services' noise.
    """

    services: dict[str, ServiceConfig]
    quota: int | None = None
    failure_rate: float = 0.0
    seed: int = 0


class SimulatedCluster:
    """One platform with many targets; `services` gives access to drive them."""

    name = "simulated"
    kinds = SimulatedService.kinds
    repeatable = True

    def __init__(self, config: ClusterConfig) -> None:
        """Build the services, each with its own random stream.

        Raises:
            ConfigurationError: no service, or a failure rate outside [0, 1).
        """
        if not config.services:
            raise ConfigurationError("simulated: `services` needs at least one target")
        if not 0 <= config.failure_rate < 1:
            raise ConfigurationError(f"simulated: `failure_rate` is {config.failure_rate}, expected [0, 1)")
        streams = np.random.default_rng(config.seed).spawn(len(config.services))
        self.services: Mapping[str, SimulatedService] = {
            target: SimulatedService(target, service, rng=stream)
            for (target, service), stream in zip(sorted(config.services.items()), streams, strict=True)
        }
        self._quota = config.quota
        self._failure_rate = config.failure_rate
        self._chance = random.Random(config.seed)

    @property
    def executions(self) -> dict[str, int]:
        """How often each command reached a service, by command id."""
        return {id_: count for service in self.services.values() for id_, count in service.executions.items()}

    async def apply(self, command: Command) -> Applied:
        """Pass `command` to its service. See `Actuator.apply` for the errors."""
        service = self._service(command.target)
        fate = self._chance.random()
        if fate < self._failure_rate / 2:
            raise Unavailable("the simulated platform did not answer", attempts=1)
        await self._within_quota(command)
        applied = await service.apply(command)
        if fate < self._failure_rate:
            raise Unavailable("the simulated platform acted, but its answer was lost", attempts=1)
        return applied

    async def replicas(self, target: str) -> int:
        """The service's desired count. See `Actuator.replicas` for the errors."""
        return await self._service(target).replicas(target)

    async def close(self) -> None:
        """Nothing to release."""

    def _service(self, target: str) -> SimulatedService:
        try:
            return self.services[target]
        except KeyError:
            known = ", ".join(self.services)
            raise UnknownTarget(
                f"no service {target!r} in the simulated cluster; there are {known}"
            ) from None

    async def _within_quota(self, command: Command) -> None:
        if self._quota is None or not isinstance(command.action, Scale):
            return
        others = [
            await service.replicas(name) for name, service in self.services.items() if name != command.target
        ]
        total = sum(others) + command.action.replicas
        if total > self._quota:
            raise Refused(f"quota: {total} replicas asked for in all, {self._quota} allowed")
