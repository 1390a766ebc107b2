"""From a name and parameters in the configuration to an actuator."""

import difflib
import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from actuators.compose import Compose, ComposeConfig
from actuators.dry_run import DryRun
from actuators.errors import ConfigurationError
from actuators.noop import Noop, NoopConfig
from actuators.port import Actuator
from actuators.simulated_cluster import ClusterConfig, SimulatedCluster
from actuators.webhook import Webhook, WebhookConfig

C = TypeVar("C")
Params = Mapping[str, Any]
Env = Mapping[str, str]


def _config(kind: str, params: Params, config: type[C]) -> C:
    try:
        return msgspec.convert(dict(params), config)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"actuator {kind}: {error}") from error


def _noop(params: Params, env: Env) -> Actuator:
    return Noop(_config("noop", params, NoopConfig))


def _simulated(params: Params, env: Env) -> Actuator:
    return SimulatedCluster(_config("simulated", params, ClusterConfig))


def _aws(params: Params, env: Env) -> Actuator:
    from actuators.aws import Aws, AwsConfig  # noqa: PLC0415 - needs an extra

    return Aws(_config("aws", params, AwsConfig))


def _compose(params: Params, env: Env) -> Actuator:
    return Compose(_config("compose", params, ComposeConfig), env=env)


def _kubernetes(params: Params, env: Env) -> Actuator:
    from actuators.kubernetes import Kubernetes, KubernetesConfig  # noqa: PLC0415 - needs an extra

    return Kubernetes(_config("kubernetes", params, KubernetesConfig), env=env)


def _webhook(params: Params, env: Env) -> Actuator:
    return Webhook(_config("webhook", params, WebhookConfig), env=env)


def _argo_rollouts(params: Params, env: Env) -> Actuator:
    from actuators.argo_rollouts import ArgoRollouts  # noqa: PLC0415 - needs an extra
    from actuators.kubernetes_custom import DeliveryConfig  # noqa: PLC0415

    return ArgoRollouts(_config("argo-rollouts", params, DeliveryConfig), env=env)


def _flagger(params: Params, env: Env) -> Actuator:
    from actuators.flagger import Flagger  # noqa: PLC0415 - needs an extra
    from actuators.kubernetes_custom import DeliveryConfig  # noqa: PLC0415

    return Flagger(_config("flagger", params, DeliveryConfig), env=env)


def _knative(params: Params, env: Env) -> Actuator:
    from actuators.knative import Knative  # noqa: PLC0415 - needs an extra
    from actuators.kubernetes_custom import DeliveryConfig  # noqa: PLC0415

    return Knative(_config("knative", params, DeliveryConfig), env=env)


_REGISTRY: Mapping[str, Callable[[Params, Env], Actuator]] = {
    "argo-rollouts": _argo_rollouts,
    "flagger": _flagger,
    "knative": _knative,
    "aws": _aws,
    "compose": _compose,
    "kubernetes": _kubernetes,
    "noop": _noop,
    "simulated": _simulated,
    "webhook": _webhook,
}


def known_actuators() -> list[str]:
    """The names that `make_actuator` knows, sorted."""
    return sorted(_REGISTRY)


def make_actuator(kind: str, params: Params, *, env: Env, dry_run: bool = False) -> Actuator:
    """The actuator of that name, configured by `params`; with `dry_run`, it only says what it would do.

    `kind` is one of `known_actuators()`, or `package.module:factory` for one of your own: a callable that
    takes `params` and `env` and returns an actuator.

    Raises:
        ConfigurationError: the name is unknown, or the parameters are not its own; the text lists what is.
    """
    build = _imported(kind) if ":" in kind else _REGISTRY.get(kind)
    if build is None:
        near = difflib.get_close_matches(kind, _REGISTRY, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = ", ".join(known_actuators())
        raise ConfigurationError(
            f"there is no actuator {kind!r}; known: {known}, or package.module:factory{hint}"
        )
    actuator = build(params, env)
    return DryRun(actuator) if dry_run else actuator


def _imported(kind: str) -> Callable[[Params, Env], Actuator]:
    module, _, name = kind.partition(":")
    try:
        factory: Callable[[Params, Env], Actuator] = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigurationError(f"actuator {kind!r} cannot be imported: {error}") from error
    return factory
