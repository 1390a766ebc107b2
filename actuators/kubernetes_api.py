"""Calls to a Kubernetes API server: whom to call, and what its refusals mean."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from actuators.errors import ConfigurationError, NotSupported, Refused, UnknownTarget
from actuators.retry import AgainError

try:
    import httpx2
    from lightkube import AsyncClient, KubeConfig
    from lightkube.config.kubeconfig import SingleConfig
    from lightkube.core.exceptions import ConfigError
except ModuleNotFoundError as error:  # pragma: no cover - depends on the installation
    raise ConfigurationError('kubernetes needs an extra: pip install "tidegate[kubernetes]"') from error

T = TypeVar("T")

FIELD_MANAGER = "tidegate"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def connect(
    *, kubeconfig: str | None, context: str | None, timeout_s: float, env: Mapping[str, str]
) -> AsyncClient:
    """A client for `context` of `kubeconfig`.

    Without `kubeconfig`: the file that KUBECONFIG in `env` names, else the pod's service account, else
    `~/.kube/config`. Without `context`: the current one.

    Raises:
        ConfigurationError: no such file or context, or credentials that cannot be used.
    """
    try:
        return AsyncClient(
            config=_config(kubeconfig or env.get("KUBECONFIG"), context),
            timeout=httpx2.Timeout(timeout_s),
            field_manager=FIELD_MANAGER,
            trust_env=False,  # the environment is passed in
        )
    except (ConfigError, OSError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"kubernetes: cannot use the cluster's credentials: {error}") from error


def _config(kubeconfig: str | None, context: str | None) -> SingleConfig:
    if kubeconfig:
        # A list of files in KUBECONFIG is merged by kubectl; here the first that is there counts.
        paths = [path for path in kubeconfig.split(os.pathsep) if Path(path).expanduser().is_file()]
        found = KubeConfig.from_file(paths[0] if paths else kubeconfig)
    elif Path(_ACCOUNT, "token").is_file():
        found = KubeConfig.from_service_account(_ACCOUNT)
    else:
        found = KubeConfig.from_file("~/.kube/config")
    chosen = found.get(context)
    if chosen is None:
        raise ConfigError("no context is chosen")
    return chosen


async def call(request: Callable[[], Awaitable[T]], *, timeout_s: float) -> T:
    """Make one call.

    Raises:
        AgainError: no answer, a conflict (409), too many requests (429), a server error (5xx).
        Refused: not authenticated (401), not allowed (403), not valid (422), any other answer.
        UnknownTarget: not there (404).
        NotSupported: the resource has no such verb (405).
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await request()
    except httpx2.HTTPStatusError as error:
        raise judge(error.response) from error
    except (msgspec.DecodeError, ValueError) as error:
        raise AgainError(f"what answers is no API server: {error}", acted=True) from error
    except httpx2.ConnectError as error:
        raise AgainError(f"cannot connect to the API server: {error}", acted=False) from error
    except (TimeoutError, httpx2.TimeoutException) as error:
        raise AgainError(f"the API server did not answer within {timeout_s:g} s", acted=True) from error
    except httpx2.TransportError as error:
        reason = str(error) or type(error).__name__
        raise AgainError(f"the API server broke the connection: {reason}", acted=True) from error
    except (
        KeyError
    ) as error:  # the client looks at the content type of every error, and a bare proxy sends none
        raise AgainError(f"a proxy before the API server answers without {error}", acted=True) from error
    except ConfigError as error:  # a token file or a credential plugin that failed
        raise Refused(f"cannot authenticate: {error}") from error


def judge(response: httpx2.Response) -> Exception:
    """What an answer of the API server that is no success means to the caller."""
    code = response.status_code
    call_made = f"{response.request.method} {response.request.url.path}"
    said = f"the API server answers {code} to {call_made}: {_message(response)}"
    if code in {409, 429} or code >= 500:
        asked = response.headers.get("Retry-After", "")
        return AgainError(
            said, acted=code not in {409, 429}, after_s=float(asked) if asked.isdigit() else None
        )
    if code == 401:
        return Refused(f"{said}; the credentials are not accepted: renew them")
    if code == 403:
        return Refused(
            f"{said}; where a right is missing, grant it with a Role (docs/platforms/kubernetes.md)"
        )
    if code == 404:
        return UnknownTarget(said)
    if code == 405:
        return NotSupported(said)
    return Refused(said)


class _Status(msgspec.Struct):
    message: str


def _message(response: httpx2.Response) -> str:
    try:
        return msgspec.json.decode(response.content, type=_Status).message
    except msgspec.DecodeError:
        return repr(response.text[:200])  # of a proxy, or of the server's own rate limit
