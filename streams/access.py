"""How clients reach the brokers: addresses, TLS and SASL, from the configuration and the environment."""

import ssl
from collections.abc import Mapping
from typing import Any

from aiokafka.helpers import create_ssl_context
from faust import SASLCredentials, SSLCredentials
from faust.types.auth import CredentialsT

from streams.config import ConfigError, KafkaConfig


def client_settings(kafka: KafkaConfig, environ: Mapping[str, str]) -> dict[str, Any]:
    """Keyword arguments with which any aiokafka client reaches the brokers.

    Raises:
        ConfigError: SASL is asked for and user or password is missing.
        OSError: a certificate or key file cannot be read.
    """
    settings: dict[str, Any] = {
        "bootstrap_servers": ",".join(kafka.brokers),
        "security_protocol": kafka.security,
    }
    if (context := _tls(kafka)) is not None:
        settings["ssl_context"] = context
    if kafka.security.startswith("SASL"):
        user, password = _login(kafka, environ)
        settings |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": user,
            "sasl_plain_password": password,
        }
    return settings


def faust_credentials(kafka: KafkaConfig, environ: Mapping[str, str]) -> CredentialsT | None:
    """The same for a Faust app; None where the brokers ask for nothing. Raises as `client_settings` does."""
    context = _tls(kafka)
    if kafka.security.startswith("SASL"):
        user, password = _login(kafka, environ)
        return SASLCredentials(
            username=user, password=password, mechanism=kafka.sasl_mechanism, ssl_context=context
        )
    return SSLCredentials(context) if context is not None else None


def _tls(kafka: KafkaConfig) -> ssl.SSLContext | None:
    if not kafka.security.endswith("SSL"):
        return None
    return create_ssl_context(cafile=kafka.ca_file, certfile=kafka.cert_file, keyfile=kafka.key_file)


def _login(kafka: KafkaConfig, environ: Mapping[str, str]) -> tuple[str, str]:
    password = environ.get(kafka.sasl_password_env)
    if kafka.sasl_username is None or password is None:
        raise ConfigError(
            f"kafka.security is {kafka.security}: it needs kafka.sasl_username, and the password in the "
            f"environment variable {kafka.sasl_password_env}"
        )
    return kafka.sasl_username, password
