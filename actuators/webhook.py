"""The actuator for anything that speaks HTTP: POSTs the command as JSON.

The header `Idempotency-Key` carries the command's id (IETF draft-ietf-httpapi-idempotency-key-header):
the receiver acts once per key, so a retry after a lost answer is harmless. Receivers that do not honour it
are declared with `idempotent = false`; then only requests that surely did not act are retried.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import httpx
import msgspec

from actuators.backoff import Backoff
from actuators.credentials import expand
from actuators.errors import (
    ConfigurationError,
    NotSupported,
    Refused,
    Unavailable,
    UnknownTarget,
)
from actuators.port import Applied
from actuators.retry import AgainError, Retry
from schemas import Command, encode

_READ_LIMIT = 64 * 1024
_QUOTED = 200
_TRANSIENT = frozenset({408, 409, 425, 429})  # 409: the draft's answer while the first try is still under way
_PERMANENT_5XX = frozenset({501, 505})
_SURELY_NOT_ACTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class WebhookConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`url` may hold `{target}` and `{kind}`, percent-encoded when filled in; `urls` overrides it per target.

    `headers` are sent along; `${NAME}` in them is read from the environment, `${file:PATH}` from a file.
    `replicas_url` answers GET with JSON `{"replicas": n}`; without it the count cannot be asked. `timeout_s`
    bounds one attempt as a whole. `retry_after_cap_s` is the longest that a receiver may ask to wait.
    """

    url: str | None = None
    urls: dict[str, str] = msgspec.field(default_factory=dict)
    replicas_url: str | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    timeout_s: float = 5.0
    attempts: int = 4
    backoff_base_s: float = 0.2
    backoff_cap_s: float = 10.0
    retry_after_cap_s: float = 30.0
    idempotent: bool = True
    ca_file: str | None = None


class _Reply(msgspec.Struct, frozen=True):
    """What a receiver may say about a command it accepted."""

    detail: str = ""
    changed: bool = True


class _Count(msgspec.Struct, frozen=True):
    replicas: int


class Webhook:
    """Sends commands to configured URLs; see the module's first lines."""

    name = "webhook"
    kinds = frozenset({"scale", "rollback", "promote", "set-traffic", "place"})

    def __init__(
        self,
        config: WebhookConfig,
        *,
        env: Mapping[str, str],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        rng: random.Random | None = None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`wall` gives Unix seconds and is read only where Retry-After is a date.

        Raises:
            ConfigurationError: no URL, no attempts, a secret that is not there, an unreadable CA file.
        """
        if config.url is None and not config.urls:
            raise ConfigurationError("webhook: set `url` (for every target) or `urls` (by target)")
        for url in filter(None, (config.url, config.replicas_url, *config.urls.values())):
            if not url.startswith(("http://", "https://")):
                raise ConfigurationError(f"webhook: {url!r} must begin with http:// or https://")
        if config.attempts < 1 or config.timeout_s <= 0:
            raise ConfigurationError("webhook: `attempts` must be at least 1 and `timeout_s` above 0")
        self._config = config
        self._retry = Retry(
            attempts=config.attempts,
            backoff=Backoff(base_s=config.backoff_base_s, cap_s=config.backoff_cap_s),
            after_cap_s=config.retry_after_cap_s,
            repeatable=config.idempotent,
        )
        self._sleep = sleep
        self._rng = rng or random.Random()
        self._wall = wall
        self._client = httpx.AsyncClient(
            headers={name: expand(value, env) for name, value in config.headers.items()},
            timeout=config.timeout_s,
            verify=_tls(config.ca_file),
            trust_env=False,  # the environment is passed in
        )

    @property
    def repeatable(self) -> bool:
        """Whether the receiver honours the idempotency key, as configured."""
        return self._config.idempotent

    async def apply(self, command: Command) -> Applied:
        """POST `command`; any 2xx is acceptance. See `Actuator.apply` for the errors."""
        url = self._url(command.target, command.kind)
        headers = {"Idempotency-Key": command.id, "Content-Type": "application/json"}
        body, attempts = await self._persist("POST", url, headers, encode(command))
        try:
            reply = msgspec.json.decode(body, type=_Reply) if body.startswith(b"{") else _Reply()
        except msgspec.DecodeError:
            reply = _Reply()  # accepted all the same: the body is the receiver's own
        return Applied(
            detail=reply.detail or f"{_host(url)} accepted it", changed=reply.changed, attempts=attempts
        )

    async def replicas(self, target: str) -> int:
        """Ask `replicas_url`. See `Actuator.replicas` for the errors."""
        if self._config.replicas_url is None:
            raise NotSupported("webhook: `replicas_url` is not configured, the count cannot be asked")
        url = _fill(self._config.replicas_url, target, "scale")
        body, attempts = await self._persist("GET", url, {}, b"")
        try:
            return msgspec.json.decode(body, type=_Count).replicas
        except msgspec.DecodeError as error:
            message = f'{_host(url)} answered {_quote(body)}, expected {{"replicas": n}}: {error}'
            raise Unavailable(message, attempts=attempts) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _url(self, target: str, kind: str) -> str:
        template = self._config.urls.get(target, self._config.url)
        if template is None:
            known = ", ".join(sorted(self._config.urls))
            raise UnknownTarget(f"webhook: no URL is configured for {target!r}; configured: {known}")
        try:
            return str(httpx.URL(_fill(template, target, kind)))
        except httpx.InvalidURL as error:
            raise UnknownTarget(
                f"webhook: {target!r} does not fit into the URL {template}: {error}"
            ) from error

    async def _persist(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[bytes, int]:
        return await self._retry.run(
            lambda: self._try(method, url, headers, body), sleep=self._sleep, rng=self._rng
        )

    async def _try(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        host = _host(url)
        try:
            # httpx bounds each read, not the answer as a whole: a receiver that drips would hold us for ever.
            async with (
                asyncio.timeout(self._config.timeout_s),
                self._client.stream(method, url, headers=dict(headers), content=body) as response,
            ):
                answer = await _read(response)
        except _SURELY_NOT_ACTED as error:
            raise AgainError(
                f"cannot connect to {host}: {error or type(error).__name__}", acted=False
            ) from error
        except (TimeoutError, httpx.TimeoutException) as error:
            raise AgainError(
                f"{host} did not answer within {self._config.timeout_s:g} s", acted=True
            ) from error
        except httpx.TransportError as error:
            raise AgainError(
                f"{host} broke the connection: {error or type(error).__name__}", acted=True
            ) from error
        return self._judge(response, answer, host)

    def _judge(self, response: httpx.Response, answer: bytes, host: str) -> bytes:
        status = response.status_code
        if 200 <= status < 300:
            return answer
        said = f"{host} answered {status} {response.reason_phrase}: {_quote(answer)}"
        if status in _TRANSIENT or (status >= 500 and status not in _PERMANENT_5XX):
            acted = status not in {425, 429, 503}
            raise AgainError(
                said, acted=acted, after_s=self._retry_after(response.headers.get("Retry-After"))
            )
        if status in {404, 410}:
            raise UnknownTarget(said)
        raise Refused(said)

    def _retry_after(self, text: str | None) -> float | None:
        if text is None:
            return None
        if text.strip().isdigit():
            return float(text)
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            return None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return max(0.0, (at - datetime.fromtimestamp(self._wall(), UTC)).total_seconds())


async def _read(response: httpx.Response) -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= _READ_LIMIT:
            break
    return body[:_READ_LIMIT]


def _fill(template: str, target: str, kind: str) -> str:
    return template.replace("{target}", quote(target, safe="")).replace("{kind}", quote(kind, safe=""))


def _host(url: str) -> str:
    """The URL without what may hold a secret: user, query, fragment."""
    parts = httpx.URL(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.host}{port}{parts.path}"


def _quote(body: bytes) -> str:
    text = body[:_QUOTED].decode("utf-8", "replace")
    return repr(text) if len(body) <= _QUOTED else f"{text!r}…"


def _tls(ca_file: str | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigurationError(f"webhook: cannot load `ca_file` {ca_file}: {error}") from error
