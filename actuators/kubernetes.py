"""The actuator for Kubernetes: scales whatever has the scale subresource, and undoes a Deployment's rollout.

It reads before it writes, and writes only on what it has read (the object's resourceVersion), so a change by
someone else in between is a conflict that is read again and not overwritten unseen.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from lightkube.generic_resource import GenericNamespacedResource, create_namespaced_resource
from lightkube.types import PatchType

from actuators.backoff import Backoff
from actuators.errors import ConfigurationError, NotSupported, Unavailable
from actuators.kubernetes_api import call, connect
from actuators.kubernetes_autoscalers import Autoscalers, Policy, Workload
from actuators.kubernetes_undo import choose, owned, release_names, revision, undo_patch
from actuators.port import Applied
from actuators.retry import Retry
from schemas import Command, Rollback, Scale

T = TypeVar("T")

Resource = type[GenericNamespacedResource]


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a target is. What is left out is that of `KubernetesConfig`; `name` is the target's own."""

    resource: str | None = None
    namespace: str | None = None
    name: str | None = None


class KubernetesConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`resource` is `PLURAL.VERSION.GROUP`, e.g. `deployments.v1.apps`, `rollouts.v1alpha1.argoproj.io`.

    A target that is not in `targets` is the object of its name in `namespace` (None: the context's).
    `autoscaler` says what becomes of other autoscalers on a target (`kubernetes_autoscalers`).
    `release_label` is the label of the pod template that names the release. `timeout_s` bounds one call.
    """

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    resource: str = "deployments.v1.apps"
    targets: dict[str, Place] = msgspec.field(default_factory=dict)
    autoscaler: Policy = "refuse"
    release_label: str = "app.kubernetes.io/version"
    timeout_s: float = 5.0
    attempts: int = 8
    backoff_base_s: float = 0.2
    backoff_cap_s: float = 5.0
    retry_after_cap_s: float = 30.0


class Kubernetes:
    """Acts through one API server."""

    name = "kubernetes"
    kinds = frozenset({"scale", "rollback"})
    repeatable = True  # both set a state

    def __init__(
        self,
        config: KubernetesConfig,
        *,
        env: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        """Read the credentials; call nobody yet.

        Raises:
            ConfigurationError: no usable credentials, or a resource that is not `PLURAL.VERSION.GROUP`.
        """
        for resource in {
            config.resource,
            *(place.resource or config.resource for place in config.targets.values()),
        }:
            resource_class(resource)
        self._config = config
        self._client = connect(
            kubeconfig=config.kubeconfig, context=config.context, timeout_s=config.timeout_s, env=env
        )
        self._autoscalers = Autoscalers(self._client, self._call, config.autoscaler)
        self._asked: dict[str, int] = {}  # target: the count it was given last
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._retry = Retry(
            attempts=config.attempts,
            backoff=Backoff(base_s=config.backoff_base_s, cap_s=config.backoff_cap_s),
            after_cap_s=config.retry_after_cap_s,
        )

    async def apply(self, command: Command) -> Applied:
        """Scale, or undo. See `Actuator.apply` for the errors."""
        match command.action:
            case Scale(replicas=replicas):
                applied, attempts = await self._persist(lambda: self._scale(command.target, replicas))
            case Rollback(release=release, to=to):
                applied, attempts = await self._persist(lambda: self._undo(command.target, release, to))
            case _:
                raise NotSupported(f"kubernetes cannot {command.kind}; it can rollback, scale")
        detail, changed = applied
        return Applied(detail=detail, changed=changed, attempts=attempts)

    async def replicas(self, target: str) -> int:
        """The desired count of the scale subresource. See `Actuator.replicas` for the errors."""

        async def ask() -> int:
            return _desired(await self._get_scale(target), target)

        count, _ = await self._persist(ask)
        return count

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> tuple[T, int]:
        return await self._retry.run(attempt, sleep=self._sleep, rng=self._rng)

    async def _scale(self, target: str, replicas: int) -> tuple[str, bool]:
        resource, namespace, name = self._place(target)
        scale = await self._get_scale(target)
        before = _desired(scale, target)
        workload = Workload(namespace, name, *_plural_and_group(self._text(target)))
        if (yielded := await self._autoscalers.yields(workload, replicas)) is not None:
            return yielded
        asked = self._asked.get(target, before)
        rival = "" if asked == before else f"; someone else had set {before} since {asked} were asked for"
        if before == replicas:
            self._asked[target] = replicas
            return f"{namespace}/{name} has {replicas} replicas already{rival}", False
        patch = {
            "metadata": {"resourceVersion": scale.metadata.resourceVersion},
            "spec": {"replicas": replicas},
        }
        await self._call(
            lambda: self._client.patch(
                resource.Scale, name, patch, namespace=namespace, patch_type=PatchType.MERGE
            )
        )
        self._asked[target] = replicas
        return f"{namespace}/{name}: {before} -> {replicas} replicas{rival}", True

    async def _undo(self, target: str, release: str, to: str | None) -> tuple[str, bool]:
        resource, namespace, name = self._place(target)
        if resource is not resource_class("deployments.v1.apps"):
            raise NotSupported(f"{target}: only a Deployment can be rolled back, not {resource.__name__}")
        deployment = await self._call(lambda: self._client.get(resource, name, namespace=namespace))
        running = release_names(deployment["spec"]["template"], self._config.release_label)
        if release not in running:
            return f"{namespace}/{name}: {release} is not in production, {', '.join(running)} is", False
        history = owned(await self._call(lambda: self._replica_sets(deployment, namespace)), deployment)
        back = choose(history, release, to, self._config.release_label)
        await self._call(
            lambda: self._client.patch(
                resource,
                name,
                undo_patch(deployment, back),
                namespace=namespace,
                patch_type=PatchType.JSON,
            )
        )
        restored = ", ".join(release_names(back["spec"]["template"], self._config.release_label))
        return (
            f"{namespace}/{name}: rolled back from {release} to revision {revision(back)} ({restored})",
            True,
        )

    async def _replica_sets(self, deployment: Mapping[str, Any], namespace: str) -> list[Mapping[str, Any]]:
        labels = deployment["spec"]["selector"].get("matchLabels")
        found = self._client.list(resource_class("replicasets.v1.apps"), namespace=namespace, labels=labels)
        return [each async for each in found]

    async def _get_scale(self, target: str) -> Any:
        resource, namespace, name = self._place(target)
        return await self._call(lambda: self._client.get(resource.Scale, name, namespace=namespace))

    async def _call(self, request: Callable[[], Awaitable[T]]) -> T:
        return await call(request, timeout_s=self._config.timeout_s)

    def _text(self, target: str) -> str:
        return self._config.targets.get(target, Place()).resource or self._config.resource

    def _place(self, target: str) -> tuple[Resource, str, str]:
        place = self._config.targets.get(target, Place())
        return (
            resource_class(self._text(target)),
            place.namespace or self._config.namespace or self._client.namespace,
            place.name or target,
        )


def resource_class(text: str) -> Resource:
    """The client's class for `PLURAL.VERSION.GROUP`, or `PLURAL.VERSION` in the core group.

    Raises:
        ConfigurationError: it is not of that form.
    """
    plural, _, rest = text.partition(".")
    version, _, group = rest.partition(".")
    if not plural or not version.startswith("v"):
        raise ConfigurationError(
            f"kubernetes: {text!r} is not PLURAL.VERSION.GROUP, as in deployments.v1.apps"
        )
    # The kind is not sent in any call made here; the full text keeps the client's own classes apart.
    made: Resource = create_namespaced_resource(group, version, text, plural)
    return made


def _plural_and_group(text: str) -> tuple[str, str]:
    plural, _, rest = text.partition(".")
    return plural, rest.partition(".")[2]


def _desired(scale: Any, target: str) -> int:
    if scale.spec is None:
        raise Unavailable(f"the API server's answer has no desired count for {target}")
    return int(scale.spec.replicas or 0)  # the API leaves a zero out
