"""Hands on Argo Rollouts, by the fields that its own `kubectl argo rollouts` sets.

The Rollout keeps its steps. Tidegate goes from one pause to the next: give each weight of the plan a step
`setWeight` with a `pause: {}` after it. Aborting shifts all traffic back to the stable release. The
controller does the shifting.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from actuators.errors import NotSupported, Refused
from actuators.kubernetes_custom import Custom, DeliveryConfig, Object
from actuators.kubernetes_undo import release_names
from actuators.port import Applied
from schemas import Command, Promote, Rollback, SetTraffic

RESOURCE = "rollouts.v1alpha1.argoproj.io"


class ArgoRollouts:
    """Promotes, aborts and steps Rollouts with a canary strategy."""

    name = "argo-rollouts"
    kinds = frozenset({"set-traffic", "promote", "rollback"})
    repeatable = True  # each sets a state

    def __init__(self, config: DeliveryConfig, *, env: Mapping[str, str]) -> None:
        self._custom = Custom(RESOURCE, config, env=env)

    async def apply(self, command: Command) -> Applied:
        """Set the fields that the controller acts on. See `Actuator.apply` for the errors."""
        target = command.target
        match command.action:
            case SetTraffic(release=release, percent=percent):
                done, attempts = await self._custom.persist(lambda: self._step(target, release, percent))
            case Promote(release=release):
                done, attempts = await self._custom.persist(lambda: self._promote(target, release))
            case Rollback(release=release):
                done, attempts = await self._custom.persist(lambda: self._abort(target, release))
            case _:
                raise NotSupported(
                    f"argo-rollouts cannot {command.kind}; it can {', '.join(sorted(self.kinds))}"
                )
        detail, changed = done
        return Applied(detail=f"{self._custom.namespace}/{detail}", changed=changed, attempts=attempts)

    async def replicas(self, target: str) -> int:
        """The desired count of the Rollout. See `Actuator.replicas` for the errors."""
        rollout, _ = await self._custom.persist(lambda: self._custom.get(target))
        return int(rollout["spec"].get("replicas", 1))

    async def close(self) -> None:
        """Close the connections."""
        await self._custom.close()

    async def _step(self, target: str, release: str, percent: float) -> tuple[str, bool]:
        rollout = await self._of(target, release)
        steps = _steps(rollout)
        index = _step_of(steps, percent, target)
        status = rollout.get("status", {})
        at = int(status.get("currentStepIndex") or 0)
        if _stable(rollout):
            raise Refused(f"{target}: {release} is stable already, it is no canary")
        if at > index:
            return f"{target}: {release} has {percent:g} % already, step {at}", False
        # A paused step is left by clearing the conditions and moving on in one write.
        await self._custom.patch(
            target,
            rollout,
            {"status": {"currentStepIndex": index, "pauseConditions": None, "controllerPause": False}},
            status=True,
        )
        return f"{target}: {release} gets {percent:g} % of the traffic, step {index}", True

    async def _promote(self, target: str, release: str) -> tuple[str, bool]:
        rollout = await self._of(target, release)
        if _stable(rollout):
            return f"{target}: {release} is stable already", False
        if rollout["spec"].get("paused"):
            await self._custom.patch(target, rollout, {"spec": {"paused": False}})
            rollout = await self._of(target, release)
        await self._custom.patch(target, rollout, {"status": {"promoteFull": True}}, status=True)
        return f"{target}: {release} is promoted in full", True

    async def _abort(self, target: str, release: str) -> tuple[str, bool]:
        rollout = await self._custom.get(target)
        names = release_names(rollout["spec"]["template"], self._custom.config.release_label)
        if release not in names:
            return f"{target}: {release} is not being rolled out, {', '.join(names)} is", False
        if rollout.get("status", {}).get("abort"):
            return f"{target}: {release} is aborted already", False
        if _stable(rollout):
            raise Refused(
                f"{target}: {release} is stable, there is no canary to abort; roll out the earlier release "
                "by its manifest, or `kubectl argo rollouts undo`"
            )
        await self._custom.patch(target, rollout, {"status": {"abort": True}}, status=True)
        return f"{target}: {release} is aborted, the stable release gets all the traffic", True

    async def _of(self, target: str, release: str) -> Object:
        """The Rollout; Refused unless `release` is what it rolls out."""
        rollout = await self._custom.get(target)
        names = release_names(rollout["spec"]["template"], self._custom.config.release_label)
        if release not in names:
            raise Refused(f"{target}: rolls out {', '.join(names) or 'nothing with a name'}, not {release}")
        return rollout


def _steps(rollout: Object) -> Sequence[Mapping[str, Any]]:
    steps: Sequence[Mapping[str, Any]] = (
        rollout["spec"].get("strategy", {}).get("canary", {}).get("steps", [])
    )
    return steps


def _step_of(steps: Sequence[Mapping[str, Any]], percent: float, target: str) -> int:
    """The step that sets the weight, with a pause without end after it."""
    for index, step in enumerate(steps):
        after = steps[index + 1] if index + 1 < len(steps) else {}
        if (
            step.get("setWeight") == percent
            and "pause" in after
            and not (after["pause"] or {}).get("duration")
        ):
            return index
    known = ", ".join(f"{step['setWeight']} %" for step in steps if "setWeight" in step) or "none"
    raise Refused(
        f"{target}: no step `setWeight: {percent:g}` with `pause: {{}}` after it; its weights are {known}. "
        "Make the Rollout's steps and the canary's plan the same"
    )


def _stable(rollout: Object) -> bool:
    """Whether what is rolled out is the stable release already."""
    status = rollout.get("status", {})
    current = status.get("currentPodHash")
    return current is not None and current == status.get("stableRS")
