"""Reading and patching one kind of custom resource: what the hands on delivery tools share."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec
from lightkube.types import PatchType

from actuators.backoff import Backoff
from actuators.kubernetes import resource_class
from actuators.kubernetes_api import call, connect
from actuators.retry import Retry

T = TypeVar("T")

Object = Mapping[str, Any]


class DeliveryConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the objects are: a target is the object of its name, or of the name in `names`, in `namespace`
    (None: the context's). `release_label` is the label of the pod template that names the release.
    """

    kubeconfig: str | None = None
    context: str | None = None
    namespace: str | None = None
    names: dict[str, str] = msgspec.field(default_factory=dict)
    release_label: str = "app.kubernetes.io/version"
    timeout_s: float = 5.0
    attempts: int = 8
    backoff_base_s: float = 0.2
    backoff_cap_s: float = 5.0
    retry_after_cap_s: float = 30.0


class Custom:
    """The objects of one resource (`PLURAL.VERSION.GROUP`), by target."""

    def __init__(
        self,
        resource: str,
        config: DeliveryConfig,
        *,
        env: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Read the credentials; call nobody yet.

        Raises:
            ConfigurationError: no usable credentials.
        """
        self.config = config
        self._resource = resource_class(resource)
        self._client = connect(
            kubeconfig=config.kubeconfig, context=config.context, timeout_s=config.timeout_s, env=env
        )
        self._sleep = sleep
        self._rng = random.Random()
        self._retry = Retry(
            attempts=config.attempts,
            backoff=Backoff(base_s=config.backoff_base_s, cap_s=config.backoff_cap_s),
            after_cap_s=config.retry_after_cap_s,
        )

    @property
    def namespace(self) -> str:
        """Where the objects are."""
        return self.config.namespace or str(self._client.namespace)

    def name(self, target: str) -> str:
        """The object's name."""
        return self.config.names.get(target, target)

    async def persist(self, attempt: Callable[[], Awaitable[T]]) -> tuple[T, int]:
        """Try until it works or is refused; returns the attempts too. See `Actuator.apply` for the errors."""
        return await self._retry.run(attempt, sleep=self._sleep, rng=self._rng)

    async def get(self, target: str) -> Object:
        """The object as it is now."""
        return await self._call(
            lambda: self._client.get(self._resource, self.name(target), namespace=self.namespace)
        )

    async def patch(
        self, target: str, read: Object, fields: Mapping[str, Any], *, status: bool = False
    ) -> None:
        """Merge `fields` into the object, `status` into its status, unless it changed since it was `read`."""
        version = read["metadata"]["resourceVersion"]
        body = {**fields, "metadata": {**fields.get("metadata", {}), "resourceVersion": version}}
        resource = self._resource.Status if status else self._resource
        await self._call(
            lambda: self._client.patch(
                resource, self.name(target), body, namespace=self.namespace, patch_type=PatchType.MERGE
            )
        )

    async def list(self, resource: str, labels: Mapping[str, str]) -> list[Object]:
        """Objects of another resource in the namespace that carry `labels`."""

        async def ask() -> list[Object]:
            found = self._client.list(resource_class(resource), namespace=self.namespace, labels=dict(labels))
            return [each async for each in found]

        return await self._call(ask)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _call(self, request: Callable[[], Awaitable[T]]) -> T:
        return await call(request, timeout_s=self.config.timeout_s)
