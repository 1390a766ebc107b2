"""The actuator for AWS Auto Scaling groups: sets the desired capacity, within what the group allows."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import msgspec

from actuators.backoff import Backoff
from actuators.errors import ConfigurationError, NotSupported, Refused, UnknownTarget
from actuators.port import Applied
from actuators.retry import AgainError, Retry
from schemas import Command, Scale

try:
    import boto3.session
    from botocore.config import Config as ClientConfig
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, PartialCredentialsError
except ModuleNotFoundError as error:  # pragma: no cover - depends on the installation
    raise ConfigurationError('aws needs an extra: pip install "tidegate[aws]"') from error

T = TypeVar("T")

_AGAIN = frozenset(
    {
        "RequestLimitExceeded",
        "ResourceContention",
        "ScalingActivityInProgress",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "InternalFailure",
        "InternalError",
    }
)
_RIGHTS = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_LOGIN = frozenset(
    {"ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException"}
)


class AwsConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`groups` names the Auto Scaling group of each target; others are the group of their own name.

    Credentials are found as boto3 finds them: environment, profile, role of the instance or pod.
    `endpoint_url` is for other clouds and tests. `timeout_s` bounds one call.
    """

    region: str
    groups: Mapping[str, str] = msgspec.field(default_factory=dict)
    profile: str | None = None
    endpoint_url: str | None = None
    timeout_s: float = 10.0
    attempts: int = 6
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 10.0


class Aws:
    """Acts on Auto Scaling groups in one region."""

    name = "aws"
    kinds = frozenset({"scale"})
    repeatable = True  # it sets a state

    def __init__(
        self,
        config: AwsConfig,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
    ) -> None:
        """Make the client; call nobody yet.

        Raises:
            ConfigurationError: no such profile or region.
        """
        self._config = config
        once = ClientConfig(
            connect_timeout=config.timeout_s,
            read_timeout=config.timeout_s,
            retries={"total_max_attempts": 1},  # retried here, where attempts are counted
        )
        try:
            session = boto3.session.Session(profile_name=config.profile, region_name=config.region)
            self._client: Any = session.client("autoscaling", endpoint_url=config.endpoint_url, config=once)
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(f"aws: {error}") from error
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._retry = Retry(
            attempts=config.attempts,
            backoff=Backoff(base_s=config.backoff_base_s, cap_s=config.backoff_cap_s),
            after_cap_s=config.backoff_cap_s,
        )

    async def apply(self, command: Command) -> Applied:
        """Scale. See `Actuator.apply` for the errors.

        Raises:
            Refused: the count is outside the group's own minimum and maximum.
        """
        if not isinstance(command.action, Scale):
            raise NotSupported(f"aws cannot {command.kind}; it can scale")
        replicas = command.action.replicas
        (detail, changed), attempts = await self._persist(lambda: self._scale(command.target, replicas))
        return Applied(detail=detail, changed=changed, attempts=attempts)

    async def replicas(self, target: str) -> int:
        """The group's desired capacity. See `Actuator.replicas` for the errors."""
        group, _ = await self._persist(lambda: self._group(target))
        return int(group["DesiredCapacity"])

    async def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def _persist(self, attempt: Callable[[], Awaitable[T]]) -> tuple[T, int]:
        return await self._retry.run(attempt, sleep=self._sleep, rng=self._rng)

    async def _scale(self, target: str, replicas: int) -> tuple[str, bool]:
        group = await self._group(target)
        name, before = group["AutoScalingGroupName"], int(group["DesiredCapacity"])
        least, most = int(group["MinSize"]), int(group["MaxSize"])
        if before == replicas:
            return f"{name} has a desired capacity of {replicas} already", False
        if not least <= replicas <= most:
            raise Refused(f"{name} allows {least} to {most} instances, not {replicas}: change its bounds")
        await self._call(
            "SetDesiredCapacity",
            lambda: self._client.set_desired_capacity(
                AutoScalingGroupName=name, DesiredCapacity=replicas, HonorCooldown=False
            ),
        )
        return f"{name}: {before} -> {replicas} instances", True

    async def _group(self, target: str) -> Mapping[str, Any]:
        name = self._config.groups.get(target, target)
        answer = await self._call(
            "DescribeAutoScalingGroups",
            lambda: self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[name]),
        )
        groups = answer["AutoScalingGroups"]
        if not groups:
            raise UnknownTarget(f"no Auto Scaling group {name!r} in {self._config.region}")
        found: Mapping[str, Any] = groups[0]
        return found

    async def _call(self, what: str, request: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Make one call in a thread, since boto3 blocks.

        Raises:
            AgainError: throttled, busy, or no answer.
            Refused: not allowed, not authenticated, or not valid.
        """
        try:
            return await asyncio.to_thread(request)
        except ClientError as error:
            raise _judged(what, error) from error
        except (NoCredentialsError, PartialCredentialsError) as error:
            raise Refused(f"cannot authenticate to AWS: {error}") from error
        except BotoCoreError as error:
            raise AgainError(f"AWS does not answer {what}: {error}", acted=True) from error


def _judged(what: str, error: ClientError) -> Exception:
    code = str(error.response.get("Error", {}).get("Code", ""))
    message = str(error.response.get("Error", {}).get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    said = f"AWS answers {what} with {code}: {message}"
    if code in _AGAIN or status >= 500:
        return AgainError(said, acted=status >= 500)
    if code in _RIGHTS:
        return Refused(f"{said}; allow autoscaling:{what} (docs/platforms/aws.md)")
    if code in _LOGIN:
        return Refused(f"{said}; the credentials are not accepted: renew them")
    return Refused(said)
