"""Signed commands: Ed25519 (RFC 8032) over the command's canonical JSON, by keys with names.

The signature covers every field but itself, so that an altered command fails here, and a replayed one at the
ledger (its id has an outcome, its sequence is fenced). Keys are rotated by letting the verifier know the new
one before the planner signs with it, and the old one until the last command it signed has expired. Needs
the extra `signing`.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import msgspec

from actuators.errors import ConfigurationError, Unauthorised
from schemas import Command, encode

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
        load_pem_public_key,
    )
except ModuleNotFoundError as error:  # pragma: no cover - depends on the installation
    raise ConfigurationError('signed commands need an extra: pip install "tidegate[signing]"') from error

_DOMAIN = b"tidegate command v1\n"  # a signature over a command is good for nothing else


def _payload(command: Command) -> bytes:
    return _DOMAIN + encode(msgspec.structs.replace(command, signature=None))


class Signer:
    """Signs as `key_id`."""

    def __init__(self, key_id: str, key: Ed25519PrivateKey) -> None:
        self.key_id = key_id
        self._key = key

    @classmethod
    def from_pem(cls, key_id: str, pem: bytes) -> Self:
        """Read an unencrypted PKCS #8 private key.

        Raises:
            ConfigurationError: it is none, or not of Ed25519.
        """
        try:
            key = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise ConfigurationError(
                f"signing key {key_id!r} is not an unencrypted PEM private key"
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigurationError(f"signing key {key_id!r} is not an Ed25519 key")
        return cls(key_id, key)

    def sign(self, command: Command) -> Command:
        """`command` with this key's id and signature."""
        named = msgspec.structs.replace(command, key_id=self.key_id, signature=None)
        signature = base64.b64encode(self._key.sign(_payload(named))).decode()
        return msgspec.structs.replace(named, signature=signature)

    def public_pem(self) -> bytes:
        """The public key, to be given to the verifiers."""
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKey:
    """A public key and the targets it may command; None: all of them."""

    key: Ed25519PublicKey
    targets: frozenset[str] | None = None

    @classmethod
    def from_pem(cls, pem: bytes, targets: Iterable[str] | None = None) -> Self:
        """Read a public key.

        Raises:
            ConfigurationError: it is none, or not of Ed25519.
        """
        try:
            key = load_pem_public_key(pem)
        except ValueError as error:
            raise ConfigurationError("the trusted key is not a PEM public key") from error
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigurationError("the trusted key is not an Ed25519 key")
        return cls(key=key, targets=None if targets is None else frozenset(targets))


class Verifier:
    """Knows the trusted keys by id; call it as the gate `verify` of `execute`."""

    def __init__(self, keys: Mapping[str, TrustedKey]) -> None:
        self._keys = dict(keys)

    def __call__(self, command: Command) -> None:
        """Return where the signature holds.

        Raises:
            Unauthorised: the command is unsigned, altered, signed by an unknown key, or by one that may not
                command this target.
        """
        if command.key_id is None or command.signature is None:
            raise Unauthorised("the command is not signed")
        trusted = self._keys.get(command.key_id)
        if trusted is None:
            raise Unauthorised(f"key {command.key_id!r} is not trusted here")
        try:
            signature = base64.b64decode(command.signature, validate=True)
            trusted.key.verify(signature, _payload(command))
        except (binascii.Error, ValueError, InvalidSignature) as error:
            message = f"the signature of key {command.key_id!r} does not match the command: forged or altered"
            raise Unauthorised(message) from error
        if trusted.targets is not None and command.target not in trusted.targets:
            raise Unauthorised(f"key {command.key_id!r} may not command {command.target!r}")


def generate_pem() -> bytes:
    """A new private key as PEM; keep it secret."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
