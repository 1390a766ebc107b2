"""Listening: TLS of servers, gRPC ports."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from streams.config.section import TlsConfig

if TYPE_CHECKING:
    import grpc


class PortError(RuntimeError):
    """A server cannot listen or go on; the text says why and what to do."""


def server_context(tls: TlsConfig | None) -> ssl.SSLContext | None:
    """The TLS of a server; None where there is none.

    Raises:
        OSError: a file cannot be read or is no certificate or key (`ssl.SSLError`).
    """
    if tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.client_ca_file)
    context.load_cert_chain(tls.cert_file, tls.key_file)
    if tls.client_ca_file:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def bind(server: "grpc.aio.Server", host: str, port: int, tls: TlsConfig | None) -> int:
    """Let a gRPC server listen; return the port.

    Raises:
        PortError: the port is taken.
        OSError: a certificate or key file cannot be read.
    """
    import grpc  # noqa: PLC0415 - comes with an extra

    address = f"{host}:{port}"
    try:
        if tls is None:
            return server.add_insecure_port(address)
        ca = Path(tls.client_ca_file).read_bytes() if tls.client_ca_file else None
        credentials = grpc.ssl_server_credentials(
            [(Path(tls.key_file).read_bytes(), Path(tls.cert_file).read_bytes())],
            root_certificates=ca,
            require_client_auth=ca is not None,
        )
        return server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise PortError(f"cannot listen on {address} ({error}); choose another port") from error
