"""The rule of the Kubernetes HPA on the same service and load, for comparison."""

from actuators.accounting import Account
from actuators.simulated import SimulatedService
from planners.scaling import Observation, ScalePolicy, ScaleState
from planners.scaling.reactive import reactive
from schemas import Command, Scale

PERIOD_MS = 15_000


class Rival:
    """Scales a service of its own, every 15 s, on the load as it is that moment."""

    def __init__(self, service: SimulatedService, policy: ScalePolicy, replicas: int) -> None:
        self.replicas = replicas
        self._service = service
        self._policy = policy
        self._state = ScaleState()

    async def tick(self, ts: int, load: float, span_ms: int) -> None:
        """The `span_ms` from `ts` (Unix ms), under constant `load`."""
        for at in range(ts, ts + span_ms, min(PERIOD_MS, span_ms)):
            self._service.tick(at, load)
            observation = Observation(ts=at, load=load, replicas=self.replicas)
            decision, self._state = reactive(self._policy, self._state, observation)
            if decision.changed:
                await self._service.apply(self._command(at, decision.previous, decision.replicas))
            self.replicas = decision.replicas

    def _command(self, ts: int, previous: int, replicas: int) -> Command:
        return Command(
            id=f"hpa:{ts}",
            target=self._service.target,
            sequence=ts,
            action=Scale(replicas=replicas, previous=previous),
            reasons=[],
            issued_at=ts,
            expires_at=ts,
        )

    def account(self) -> Account:
        """What it cost and how often it fell short."""
        return self._service.account()
