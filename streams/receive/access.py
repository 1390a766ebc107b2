"""Who pushes: bearer tokens to tenants, compared in constant time."""

import hashlib
import hmac
from collections.abc import Mapping, Sequence

from streams.config import ConfigError
from streams.config.receive import ReceiveConfig, TenantConfig
from streams.secrets import secret

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class Doors:
    """Finds the tenant of a token. Keeps digests only."""

    def __init__(self, tenants: Sequence[TenantConfig], environ: Mapping[str, str]) -> None:
        """Read the tokens.

        Raises:
            ConfigError: a token stands in the file itself, is absent or empty, or two tenants share one.
        """
        self._digests: dict[bytes, str] = {}
        for tenant in tenants:
            token = secret(f"receive.tenants.{tenant.name}.token", tenant.token, environ)
            digest = _digest(token)
            if digest in self._digests:
                raise ConfigError(
                    f"receive.tenants.{tenant.name}.token: is that of {self._digests[digest]} too"
                )
            self._digests[digest] = tenant.name

    @property
    def open(self) -> bool:
        """Whether anyone may push."""
        return not self._digests

    def tenant(self, authorization: str | None) -> str | None:
        """The name of the tenant that the Authorization header shows; None where it shows none."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        shown = _digest(token.strip())
        found = None
        for digest, name in self._digests.items():
            if hmac.compare_digest(digest, shown):
                found = name
        return found


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def check_exposure(config: ReceiveConfig) -> None:
    """Refuse to be open to the network.

    Raises:
        ConfigError: it listens beyond loopback and asks nobody who they are.
    """
    asks = config.tenants or (config.tls is not None and config.tls.client_ca_file)
    if config.host not in LOOPBACK and not asks:
        raise ConfigError(
            f"receive.host is {config.host}: beyond loopback, name receive.tenants or "
            "receive.tls.client_ca_file, or whoever reaches the port may write"
        )
