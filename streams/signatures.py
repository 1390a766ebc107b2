"""Signing and verifying commands, as configured."""

from collections.abc import Callable, Mapping
from pathlib import Path

from actuators import ConfigurationError
from actuators.execute import Verify
from schemas import Command, decode, encode
from streams.config import ConfigError
from streams.config.signing import SigningConfig, TrustedKeyConfig
from streams.extras import needed
from streams.output import Output
from streams.secrets import secret
from streams.topics import COMMANDS

Sign = Callable[[Command], Command]


def unsigned(command: Command) -> Command:
    """The command as it is."""
    return command


def signed(outputs: list[Output], sign: Sign) -> list[Output]:
    """The outputs, their commands signed."""
    if sign is unsigned:
        return outputs
    return [
        each._replace(value=encode(sign(decode(each.value, Command))))
        if each.topic == COMMANDS.name
        else each
        for each in outputs
    ]


def signer(config: SigningConfig, environ: Mapping[str, str]) -> Sign:
    """What a planner passes its commands through.

    Raises:
        ConfigError: the key is absent, not of Ed25519, or the extra `signing` is not installed.
    """
    if config.key_id is None:
        return unsigned
    with needed("signing"):
        import cryptography  # noqa: F401, PLC0415
    from actuators.signing import Signer  # noqa: PLC0415

    pem = secret("signing.private_key", config.private_key, environ)
    try:
        return Signer.from_pem(config.key_id, pem.encode()).sign
    except ConfigurationError as error:
        raise ConfigError(f"signing.private_key: {error}") from error


def verifier(config: SigningConfig) -> Verify | None:
    """The gate that commands pass before the hands act; None where any command counts.

    Raises:
        ConfigError: a key is absent, unreadable, or not of Ed25519, or the extra `signing` is not installed.
    """
    if not config.trusted:
        return None
    with needed("signing"):
        import cryptography  # noqa: F401, PLC0415
    from actuators.signing import TrustedKey, Verifier  # noqa: PLC0415

    keys = {}
    for trusted in config.trusted:
        where = f"signing.trusted.{trusted.id}"
        if trusted.id in keys:
            raise ConfigError(f"{where}: two keys have this id; give the new one another")
        try:
            keys[trusted.id] = TrustedKey.from_pem(_public(where, trusted), trusted.targets)
        except ConfigurationError as error:
            raise ConfigError(f"{where}: {error}") from error
    return Verifier(keys)


def _public(where: str, trusted: TrustedKeyConfig) -> bytes:
    if (trusted.public_key is None) == (trusted.public_key_file is None):
        raise ConfigError(f"{where}: needs one of public_key and public_key_file")
    if trusted.public_key is not None:
        return trusted.public_key.encode()
    assert trusted.public_key_file is not None  # noqa: S101 - one of them is there
    try:
        return Path(trusted.public_key_file).read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: cannot read {trusted.public_key_file}: {error.strerror}") from error
